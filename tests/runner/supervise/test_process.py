"""Processes of the runner: how each ends, and that none outlives its caller."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ci import RUNNER
from tests.support.runs import FAULTY, Runner, faulty_case, outcomes


def test_a_run_ends_with_its_own_status_while_its_input_is_still_open(tmp_path: Path) -> None:
    store = {"store": str(tmp_path), "cache": str(tmp_path), "models": None, "previous": None}
    run: dict[str, object] = {"jobs": [], "fresh": False, "nonce": None, **store}
    process = subprocess.Popen(
        [sys.executable, "-m", "gt_runner", "run", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(RUNNER)},
        text=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    with process.stdin, process.stderr:
        process.stdin.write(json.dumps(run) + "\n")
        process.stdin.flush()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


IN_A_SCRIPT = ["sh", "-c", 'trap "" INT; exec "$0" "$@"']  # what a shell does to a command with & in a script
CALLER = """
import json, subprocess, sys, time
command, text = json.loads(sys.argv[1]), sys.argv[2]
process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
process.stdin.write(text.encode() + b"\\n")
process.stdin.flush()
if command[-2] != "run":
    process.stdin.close()
time.sleep(600)
"""


def descendants(process: int) -> set[int]:
    """The processes below one, at any depth."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return {int(child) for child in children}.union(*(descendants(int(child)) for child in children))


def running(processes: set[int]) -> set[int]:
    """Those that still run; what has ended and waits for somebody to ask for its status does not count."""
    alive = set()
    for process in processes:
        with suppress(OSError):
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                alive.add(process)
    return alive


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds


@pytest.mark.parametrize("prefix", [[], IN_A_SCRIPT], ids=["at a terminal", "in a script"])
def test_nothing_of_a_run_outlives_a_caller_that_is_killed(tmp_path: Path, prefix: list[str]) -> None:
    runner = Runner(tmp_path)
    spec = runner.spec([faulty_case("one", "flag", flag=str(tmp_path / "started"))])
    command = json.dumps([sys.executable, "-m", "gt_runner", "run", "-"])
    caller = subprocess.Popen(
        [*prefix, sys.executable, "-c", CALLER, command, json.dumps(spec)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(FAULTY), str(RUNNER)])},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert until((tmp_path / "started").exists, 60)
        below = descendants(caller.pid)
        assert len(below) >= 2  # the runner and the worker
    finally:
        caller.kill()
        caller.communicate()
    assert until(lambda: not running(below), 5)


def test_a_question_to_the_hub_ends_with_its_caller(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes the connection and never answers
        env = {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", "PYTHONPATH": str(RUNNER)}
        command = json.dumps([sys.executable, "-m", "gt_runner", "newest", "-"])
        caller = subprocess.Popen(
            [sys.executable, "-c", CALLER, command, '["owner/one"]'], env=os.environ | env, stderr=subprocess.DEVNULL
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        below = descendants(caller.pid)
        caller.kill()
        caller.wait()
        assert below
        assert until(lambda: not running(below), 5)
        connection.close()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("prefix", [[], IN_A_SCRIPT], ids=["at a terminal", "in a script"])
def test_each_signal_to_stop_ends_a_run_as_ctrl_c_does(tmp_path: Path, sign: signal.Signals, prefix: list[str]) -> None:
    runner = Runner(tmp_path)
    case = faulty_case("one", "flag", flag=str(tmp_path / "started"))
    process = runner.start(runner.spec([case, faulty_case("two")]), prefix)
    assert until((tmp_path / "started").exists, 60)
    below = descendants(process.pid)
    process.send_signal(sign)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert {name: event["event"] for name, event in outcomes(out).items()} == {"one": "skipped", "two": "skipped"}
    assert "Traceback" not in err
    assert not running(below)


def test_a_run_under_nohup_goes_on_when_its_terminal_closes(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    case = faulty_case("one", "slow")
    process = runner.start(runner.spec([case]), ["sh", "-c", 'trap "" HUP; exec "$0" "$@"'])
    assert until(lambda: bool(descendants(process.pid)), 60)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=120)
    assert outcomes(out)["one"]["event"] == "done"


def test_without_a_network_the_newest_commits_are_given_up_within_20_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    repos = [f"owner/{number}" for number in range(12)]
    started = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-m", "gt_runner", "newest", "-"],
        input=json.dumps(repos),
        env={**os.environ, "PYTHONPATH": str(RUNNER), "HF_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert time.monotonic() - started < 20
    answers = json.loads(answer.stdout)
    assert set(answers) == set(repos)
    assert all("commit" not in each and "Connection refused" in each["error"] for each in answers.values())
    assert "stamina" not in answer.stderr
    pauses = answer.stderr.splitlines()
    assert pauses
    assert all(re.fullmatch(r"owner/0: .*Connection refused.*; trying again in \d+ s", line) for line in pauses)
