"""The promises of a run: what finished is kept, what failed fails alone, and nothing reaches the network."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ci import RUNNER
from gt_runner.events import Event
from gt_runner.fetch.prepare import prepare
from gt_runner.tasks import FetchTask
from tests.support.runs import FAULTY, Runner, faulty_case, outcomes


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A runner with a store and a cache of its own."""
    return Runner(tmp_path, {"FAULTY_LOADS": str(tmp_path / "loads")})


def kinds(ended: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: event["event"] for name, event in ended.items()}


def loads(runner: Runner) -> list[str]:
    return (runner.folder / "loads").read_text().split()


def test_one_process_loads_a_model_once_and_runs_all_of_its_cases(runner: Runner) -> None:
    ended = runner.run([faulty_case("one"), faulty_case("two"), faulty_case("three")])
    assert set(kinds(ended).values()) == {"done"}
    assert len(loads(runner)) == 1
    assert len({event["record"]["process"]["id"] for event in ended.values()}) == 1


def test_cases_of_one_job_that_load_differently_are_loaded_once_each(runner: Runner) -> None:
    runner.run([faulty_case("a", model="x"), faulty_case("b", model="y"), faulty_case("c", model="x")])
    assert sorted(loads(runner)) == ["a", "b"]


def test_a_finished_case_is_never_made_again_and_a_failed_one_always_is(runner: Runner) -> None:
    cases = [faulty_case("good"), faulty_case("bad", "raise")]
    first = runner.run(cases, status=1)
    second = runner.run([*cases, faulty_case("new")], status=1)
    assert kinds(second) == {"good": "reused", "bad": "failed", "new": "done"}
    assert second["good"]["record"] == first["good"]["record"]


@pytest.mark.parametrize(("prefix", "at_once"), [((), True), (("taskset", "-c", "0"), False)], ids=["cores", "core"])
def test_jobs_on_a_cpu_are_made_side_by_side_one_on_each_core(
    runner: Runner, prefix: Sequence[str], at_once: bool
) -> None:
    calls = runner.folder / "calls"
    runner.env["FAULTY_CALLS"] = str(calls)
    jobs = [[faulty_case(name, "slow", seconds=3)] for name in ("a", "b")]
    process = runner.start(runner.spec(*jobs), prefix)
    assert set(kinds(outcomes(process.communicate(timeout=120)[0])).values()) == {"done"}
    (_, _, start, end), (_, _, other_start, other_end) = map(json.loads, calls.read_text().splitlines())
    assert (max(start, other_start) < min(end, other_end)) is at_once


def test_a_second_run_with_nothing_changed_loads_nothing(runner: Runner) -> None:
    runner.run([faulty_case("one")])
    runner.run([faulty_case("one")])
    assert loads(runner) == ["one"]


@pytest.mark.parametrize(
    "change",
    [{"call": {"seed": 2}}, {"notes": ["new"]}, {"output": {"kind": "image", "format": "png", "name_gpus": 2}}],
)
def test_any_change_of_a_case_makes_it_anew(runner: Runner, change: dict[str, Any]) -> None:
    runner.run([faulty_case("one")])
    assert kinds(runner.run([{**faulty_case("one"), **change}])) == {"one": "done"}


def test_another_gpu_kind_makes_a_case_anew(runner: Runner) -> None:
    spec = runner.spec([faulty_case("one")])
    runner.run([faulty_case("one")])
    spec["jobs"][0]["gpu_kind"] = "h100"
    assert kinds(outcomes(runner.start(spec).communicate(timeout=120)[0])) == {"one": "done"}


def test_fresh_makes_every_case_again_under_a_nonce(runner: Runner) -> None:
    first = runner.run([faulty_case("one")])["one"]["record"]
    again = runner.run([faulty_case("one")], fresh=True, nonce="n1")["one"]["record"]
    assert (first["process"]["nonce"], again["process"]["nonce"]) == (None, "n1")
    assert first["process"]["id"] != again["process"]["id"]
    assert first["files"] == again["files"]


def test_a_result_whose_file_was_damaged_is_made_again(runner: Runner) -> None:
    key = runner.run([faulty_case("one")])["one"]["record"]["key"]
    (runner.folder / "store" / key.removeprefix("sha256:") / "one_1gpu.png").write_bytes(b"damaged")
    assert kinds(runner.run([faulty_case("one")])) == {"one": "done"}


@pytest.mark.parametrize(
    ("does", "phase", "reason"),
    [
        ("raise", "generate", "ValueError: broken on purpose"),
        ("kill", "generate", "killed by signal 9"),
        ("exit", "generate", "ended with status 7"),
        ("hang", "generate", "took longer than its limit of 0.1 min"),
    ],
)
def test_a_case_that_fails_leaves_the_others_delivered(runner: Runner, does: str, phase: str, reason: str) -> None:
    minutes = 0.1 if does == "hang" else 5
    cases = [faulty_case("before"), faulty_case("bad", does, minutes), faulty_case("after"), faulty_case("last")]
    ended = runner.run(cases, status=1)
    assert kinds(ended) == {"before": "done", "bad": "failed", "after": "done", "last": "done"}
    assert ended["bad"]["phase"] == phase
    assert reason in ended["bad"]["reason"]
    assert ended["before"]["record"]["process"]["id"] != ended["after"]["record"]["process"]["id"]
    assert ended["after"]["record"]["process"]["id"] == ended["last"]["record"]["process"]["id"]


def test_a_model_that_does_not_load_fails_the_cases_that_need_it_and_no_other(runner: Runner) -> None:
    broken = [faulty_case("one", "load", model="broken"), faulty_case("two", "load", model="broken")]
    ended = runner.run([*broken, faulty_case("three")], [faulty_case("four")], status=1)
    assert kinds(ended) == {"one": "failed", "two": "failed", "three": "done", "four": "done"}
    assert loads(runner).count("one") + loads(runner).count("two") == 1


def test_a_failure_carries_the_end_of_its_log_without_paths_of_this_machine(runner: Runner) -> None:
    failed = runner.run([faulty_case("bad", "raise")], status=1)["bad"]
    assert any("ValueError: broken on purpose" in line for line in failed["log"])
    assert str(Path.cwd()) not in json.dumps(failed)


def test_a_failure_is_told_though_the_disk_of_the_log_is_full(runner: Runner) -> None:
    odd = faulty_case("odd", "fill log", width=99, height=7)  # of another size than its frames, which saving finds out
    ended = runner.run([odd, faulty_case("good"), faulty_case("bad", "raise")], status=1)
    assert kinds(ended) == {"odd": "failed", "good": "done", "bad": "failed"}
    assert (ended["odd"]["phase"], ended["bad"]["phase"]) == ("save", "generate")
    assert ended["odd"]["reason"].startswith("99 x 7 pixels were asked for")
    assert ended["bad"]["reason"].startswith("ValueError: broken on purpose")
    assert not [path for path in (runner.folder / "store").iterdir() if path.name.startswith(".")]


def test_a_fetch_process_that_is_killed_is_told_as_killed(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "stamina.py").write_text(
        "import os, sys\nprint('a warning', file=sys.stderr)\nos.kill(os.getpid(), 9)\n"
    )
    runner.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(FAULTY), str(RUNNER)])
    reason = runner.run([faulty_case("one")], status=1)["one"]["reason"]
    assert reason == "the fetch process was killed by signal 9 (often: out of memory)"


def test_a_fetch_process_that_cannot_start_fails_its_cases_with_its_last_words(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "stamina.py").write_text("raise ModuleNotFoundError('no package of that name is here')\n")
    runner.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(FAULTY), str(RUNNER)])
    reason = runner.run([faulty_case("one")], status=1)["one"]["reason"]
    assert reason == "the fetch process ended early: ModuleNotFoundError: no package of that name is here"


def test_the_token_never_reaches_the_process_that_runs_the_model(runner: Runner) -> None:
    runner.env["HF_TOKEN"] = "hf_planted"
    ended = runner.run([faulty_case("one", "token"), faulty_case("bad", "raise")], status=1)
    assert "no token here" in "\n".join(ended["bad"]["log"])
    assert not [path for path in runner.folder.rglob("*") if path.is_file() and b"hf_planted" in path.read_bytes()]


class Listener(http.server.BaseHTTPRequestHandler):
    """Counts who got through."""

    hits = 0

    def do_GET(self) -> None:
        type(self).hits += 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def listener() -> Iterator[int]:
    """A server on this machine; gives its port."""
    Listener.hits = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("does", "fails"), [("socket", True), ("swallow", True), ("curl", False)])
def test_a_source_that_opens_a_socket_while_generating_reaches_nothing_and_fails(
    runner: Runner, listener: int, does: str, fails: bool
) -> None:
    case = faulty_case("one", does, host="127.0.0.1", port=listener)
    ended = runner.run([case], status=int(fails))["one"]
    assert Listener.hits == 0
    if fails:
        assert "network" in ended["reason"]
    else:  # a child process cannot be blamed on the case, but the kernel refuses it all the same
        assert ended["record"]["isolation"] == "seccomp"


def test_noise_that_is_not_from_the_cases_seed_is_found_out(runner: Runner) -> None:
    def files(does: str, nonce: str) -> Any:
        record = runner.run([faulty_case("one", does)], fresh=True, nonce=nonce)["one"]["record"]
        return record["files"][0]["sha256"], record["global_rng_used"]

    assert files("", "1") == files("", "2")
    assert files("unseeded", "1") != files("unseeded", "2")
    assert files("global", "1") == (files("", "1")[0], ["numpy"])


def wait_for(path: Path, count: int) -> None:
    """Until a store holds so many finished cases."""
    deadline = time.monotonic() + 60
    while len(list(path.glob("*/record.json"))) < count:
        assert time.monotonic() < deadline, "no case was finished in time"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_goes_on_where_it_was(runner: Runner, sign: signal.Signals) -> None:
    cases = [faulty_case(f"case_{n}", "slow", seed=n) for n in range(6)]
    process = runner.start(runner.spec(cases))
    wait_for(runner.folder / "store", 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(sign)
    out, _ = process.communicate(timeout=30)
    if sign != signal.SIGKILL:
        assert process.returncode == 130
        assert set(kinds(outcomes(out)).values()) == {"done", "skipped"}
    deadline = time.monotonic() + 30
    while not all(gone(int(pid)) for pid in children):
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.1)
    stored = {json.loads(p.read_text())["case"]["id"]: p for p in (runner.folder / "store").glob("*/record.json")}
    records = {name: json.loads(path.read_text()) for name, path in stored.items()}
    ended = runner.run(cases)
    assert {name for name, event in ended.items() if event["event"] == "reused"} == set(records)
    assert all(ended[name]["record"] == record for name, record in records.items())


def test_two_runs_at_once_on_one_store_do_not_harm_each_other(runner: Runner) -> None:
    cases = [faulty_case(f"case_{n}", seed=n) for n in range(4)]
    processes = [runner.start(runner.spec(cases)) for _ in range(2)]
    ended = [outcomes(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    one, other = ({name: event["record"]["files"] for name, event in each.items()} for each in ended)
    assert one == other
    assert not [path for path in (runner.folder / "store").iterdir() if path.name.startswith(".")]


def test_an_earlier_artifact_is_taken_in_as_a_store(runner: Runner, tmp_path: Path) -> None:
    record = runner.run([faulty_case("one"), faulty_case("two")])["one"]["record"]
    artifact = tmp_path / "gt"
    (runner.folder / "store" / record["key"].removeprefix("sha256:")).rename(artifact)
    (artifact / "manifest.json").write_text(json.dumps({"cases": {"one": record, "two": {"status": "failed"}}}))
    os.rename(runner.folder / "store", runner.folder / "lost")  # noqa: PTH104
    ended = runner.run([faulty_case("one"), faulty_case("two")], previous=str(artifact))
    assert kinds(ended) == {"one": "reused", "two": "done"}


def test_of_two_results_of_a_case_the_one_made_later_stays(runner: Runner, tmp_path: Path) -> None:
    def artifact(name: str, record: dict[str, Any]) -> str:
        shutil.copytree(runner.folder / "store" / record["key"].removeprefix("sha256:"), tmp_path / name)
        (tmp_path / name / "manifest.json").write_text(json.dumps({"cases": {"one": record}}))
        return str(tmp_path / name)

    early = runner.run([faulty_case("one")])["one"]["record"]
    earlier = artifact("earlier", early)
    late = runner.run([faulty_case("one")], fresh=True, nonce="again")["one"]["record"]
    later = artifact("later", late)
    assert early["process"] != late["process"]
    assert runner.run([faulty_case("one")], previous=earlier)["one"]["record"]["process"] == late["process"]

    shutil.rmtree(runner.folder / "store")
    for previous, expected in ((earlier, early), (later, late)):
        ended = runner.run([faulty_case("one")], previous=previous)
        assert ended["one"]["record"]["process"] == expected["process"]


@pytest.mark.parametrize(("since", "found"), [("2000-01-01", True), ("2999-01-01", False)])
def test_a_look_may_leave_out_what_was_made_before_a_time(runner: Runner, since: str, found: bool) -> None:
    runner.run([faulty_case("one")])
    spec = runner.spec([faulty_case("one")], look=True, since=since)
    events: list[Event] = []
    prepare(cast(FetchTask, {**spec, "job": spec["jobs"][0]}), events.append)
    assert [event["event"] for event in events] == ["reused" if found else "missing"]
