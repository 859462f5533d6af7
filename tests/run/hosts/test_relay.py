"""The promises of the relay: every line says its host and job, and what is finished is home before the call ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ci.plan import generation
from ci.run import progress
from ci.run.hosts import relay
from gt_runner.events import ENDS, mark, marked
from tests.conftest import ROOT
from tests.support.runs import Runner, faulty_case

SCRIPT = ROOT / "ci" / "run" / "hosts" / "relay.py"
FOLDERS = [str(ROOT / "containers" / "runner"), str(ROOT / "tests" / "support" / "faulty")]
NOTHING = (sys.executable, "-c", "")


def run(
    command: Sequence[str], bring: Sequence[str] = NOTHING, keep: Sequence[str] = NOTHING
) -> subprocess.CompletedProcess[str]:
    arguments = [json.dumps(bring), json.dumps(keep), "--", *command]
    return subprocess.run(
        [sys.executable, str(SCRIPT), "host job", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(FOLDERS)},
    )


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


@pytest.mark.parametrize("status", [0, 1, 7])
def test_each_line_says_host_and_job_and_the_status_is_the_calls(status: int) -> None:
    done = run(python(f"import sys; print('one'); print('two', file=sys.stderr); sys.exit({status})"))
    assert sorted(done.stdout.splitlines()) == ["[host job] one", "[host job] two"]
    assert done.returncode == status


def finished(case: str) -> str:
    """A line of a call's log, as Dagger's plain progress shows it."""
    return "12 : [3.4s] | " + mark({"event": "done", "case": case, "record": {"seconds": {"load": 1.0}}})


def test_a_finished_case_is_brought_and_kept_while_the_call_goes_on(tmp_path: Path) -> None:
    brought = tmp_path / "brought"
    bring = python(f"import sys; open({str(brought)!r}, 'w').write(sys.argv[-1])")
    keep = python(f"import os; os.rename({str(brought)!r}, {str(tmp_path / 'kept')!r})")
    call = (
        f"print('12 : [3.1s] | one.a: step 1/2'); print({finished('one.a')!r})\n"
        "import pathlib, time\n"
        f"while not pathlib.Path({str(tmp_path / 'kept')!r}).exists(): time.sleep(0.05)\n"
        "print('the call has seen it'); time.sleep(1)"
    )
    done = run(python(call), bring, keep)
    lines = ["12 : [3.1s] | one.a: step 1/2", "the call has seen it", "one.a: kept here"]
    assert sorted(done.stdout.splitlines()) == sorted(f"[host job] {line}" for line in lines)
    assert (tmp_path / "kept").read_text() == "one.a"


@pytest.mark.parametrize("sentence", ["{case} is done", "{case}: Bild fertig", ""])
def test_the_relay_does_not_care_how_the_runner_words_its_lines(tmp_path: Path, sentence: str) -> None:
    """The runner itself runs, its sentences reworded: the case is brought, and nobody sees the lines for programs."""
    runner = Runner(tmp_path)
    spec = tmp_path / "run.json"
    spec.write_text(json.dumps(runner.spec([faulty_case("one"), faulty_case("bad", "raise")])))
    reworded = (
        "import sys; from gt_runner import __main__; from gt_runner.supervise import console\n"
        f"console.line = lambda event: {sentence!r}.format(case=event.get('case')) or None\n"
        f"sys.argv[1:] = ['run', {str(spec)!r}, '--events-file', {str(tmp_path / 'events')!r}]\n"
        "status = __main__.main(); import time; time.sleep(2); sys.exit(status)"
    )
    brought = tmp_path / "brought"
    bring = python(f"import sys; open({str(brought)!r}, 'w').write(sys.argv[-1])")
    done = run(["env", "GT_EVENTS_ON_STDERR=1", *python(reworded)], bring)
    assert done.returncode == 1
    assert brought.read_text() == "one"
    shown = [line.removeprefix("[host job] ") for line in done.stdout.splitlines()]
    assert {line for line in shown if line != "one: kept here"} == (
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


def test_cases_that_finish_meanwhile_are_brought_together(tmp_path: Path) -> None:
    log = tmp_path / "log"
    bringer = relay.Bringer(
        lambda _: None,
        python(f"import sys, time; open({str(log)!r}, 'a').write(sys.argv[-1] + chr(10)); time.sleep(0.5)"),
        NOTHING,
        pause=0,
    )
    bringer.add("one")
    while not log.exists():
        time.sleep(0.01)
    bringer.add("two")
    bringer.add("three")
    deadline = time.monotonic() + 20
    while len(log.read_text().splitlines()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log.read_text().splitlines() == ["one", "two,three"]


def test_bringing_that_fails_or_hangs_does_not_hold_up_the_call(tmp_path: Path) -> None:
    call = f"print('x: ok'); print({finished('x')!r})"
    done = run(python(call), python("raise SystemExit(1)"))
    assert (done.returncode, done.stdout) == (0, "[host job] x: ok\n")
    started = time.monotonic()
    done = run(python(f"{call}; import time; time.sleep(0.5)"), python("import time; time.sleep(50)"))
    assert done.returncode == 0
    assert time.monotonic() - started < 20
