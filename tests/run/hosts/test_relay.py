"""The promises of the relay: every line says its host and job, and what is finished is home before the call ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ci.plan import generation
from ci.run import progress
from ci.run.hosts import relay
from gt_runner.events import ENDS, mark, marked
from tests.conftest import ROOT
from tests.support.runs import Runner, faulty_case

FOLDERS = [str(ROOT / "containers" / "runner"), str(ROOT / "tests" / "support" / "faulty")]


def finished(case: str) -> str:
    """A line of a call's log, as Dagger's plain progress shows it."""
    return "12 : [3.4s] | " + mark({"event": "done", "case": case, "record": {"seconds": {"load": 1.0}}})


@pytest.mark.parametrize("status", [0, 1, 7])
def test_each_line_says_host_and_job_and_the_status_is_the_calls(status: int) -> None:
    script = ROOT / "ci" / "run" / "hosts" / "relay.py"
    call = ["sh", "-c", f"echo one; echo two >&2; exit {status}"]
    env = {**os.environ, "PYTHONPATH": FOLDERS[0]}
    done = subprocess.run(
        [sys.executable, str(script), "host job", "true", *call], capture_output=True, text=True, check=False, env=env
    )
    assert (done.stdout, done.returncode) == ("[host job] one\n[host job] two\n", status)


def test_finished_cases_are_brought_together_while_the_call_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PAUSE_S", 0)
    log, line = tmp_path / "log", {case: shlex.quote(finished(case)) for case in ("one", "two", "three")}
    call = (
        f"echo step 1/2; echo {line['one']}; while ! [ -e {log} ]; do sleep 0.05; done\n"
        f"echo {line['two']}; echo {line['three']}\n"
        f"while ! grep -q three {log}; do sleep 0.2; echo step; done; echo the call has seen it"
    )
    assert relay.relay("host job", f'echo "$1" >> {log}; sleep 0.5', ["sh", "-c", call]) == 0
    assert log.read_text().splitlines() == ["one", "two,three"]
    shown = capfd.readouterr().out.splitlines()
    assert (shown[0], shown[-1]) == ("[host job] step 1/2", "[host job] the call has seen it")


def test_bringing_that_fails_or_hangs_does_not_hold_up_the_call() -> None:
    call = ["sh", "-c", f"echo {shlex.quote(finished('one'))}; echo ok; exit 3"]
    for bring in ("exit 1", "sleep 3"):
        started = time.monotonic()
        assert relay.relay("host job", bring, call) == 3
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("sentence", ["{case}: Bild fertig", ""])
def test_the_relay_does_not_care_how_the_runner_words_its_lines(
    sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner itself runs, its sentences reworded: the case is brought, and nobody sees the lines for programs."""
    spec, brought = tmp_path / "run.json", tmp_path / "brought"
    spec.write_text(json.dumps(Runner(tmp_path).spec([faulty_case("one"), faulty_case("bad", "raise")])))
    reworded = (
        "import sys; from gt_runner import __main__; from gt_runner.supervise import console\n"
        f"console.line = lambda event: {sentence!r}.format(case=event.get('case')) or None\n"
        f"sys.argv[1:] = ['run', {str(spec)!r}, '--events-file', {str(tmp_path / 'events')!r}]\n"
        "sys.exit(__main__.main())"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(FOLDERS))
    monkeypatch.setenv("GT_EVENTS_ON_STDERR", "1")
    assert relay.relay("host job", f'echo "$1" > {brought}', [sys.executable, "-u", "-c", reworded]) == 1
    while not brought.exists() or not brought.read_text():
        time.sleep(0.05)
    assert brought.read_text() == "one\n"
    assert {line.removeprefix("[host job] ") for line in capfd.readouterr().out.splitlines()} == (
        {sentence.format(case=case) for case in ("one", "bad", "None")} if sentence else set()
    )


def test_only_a_line_that_the_runner_marked_is_an_event() -> None:
    event = marked(f"217 : [12.3s] | {mark({'event': 'skipped', 'case': 'ltx_2.3-x', 'reason': 'late'})}\n")
    assert event == {"event": "skipped", "case": "ltx_2.3-x", "reason": "late"}
    for line in ("x: ok in 1.0 s", "gt-event", "gt-event {", "gt-event 1", '{"event": "done", "case": "x"}', ""):
        assert marked(line) is None


def test_the_planner_knows_the_events_that_end_a_case() -> None:
    assert generation.ENDS == ENDS
    assert tuple(progress.ENDS) == ENDS
