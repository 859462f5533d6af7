"""The promises of the relay: every line says its host and job, and what is finished is home before the call ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ci.run.hosts import relay
from gt_runner.supervise.console import line as said
from tests.conftest import ROOT

SCRIPT = ROOT / "ci" / "run" / "hosts" / "relay.py"
NOTHING = (sys.executable, "-c", "")


def run(
    command: Sequence[str], bring: Sequence[str] = NOTHING, keep: Sequence[str] = NOTHING
) -> subprocess.CompletedProcess[str]:
    arguments = [json.dumps(bring), json.dumps(keep), "--", *command]
    return subprocess.run(
        [sys.executable, str(SCRIPT), "host job", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


@pytest.mark.parametrize("status", [0, 1, 7])
def test_each_line_says_host_and_job_and_the_status_is_the_calls(status: int) -> None:
    done = run(python(f"import sys; print('one'); print('two', file=sys.stderr); sys.exit({status})"))
    assert sorted(done.stdout.splitlines()) == ["[host job] one", "[host job] two"]
    assert done.returncode == status


def test_a_finished_case_is_brought_and_kept_while_the_call_goes_on(tmp_path: Path) -> None:
    brought = tmp_path / "brought"
    bring = python(f"import sys; open({str(brought)!r}, 'w').write(sys.argv[-1])")
    keep = python(f"import os; os.rename({str(brought)!r}, {str(tmp_path / 'kept')!r})")
    call = (
        "print('12 : [3.1s] | one.a: step 1/2'); print('12 : [3.4s] | one.a: ok in 2.5 s')\n"
        "import pathlib, time\n"
        f"while not pathlib.Path({str(tmp_path / 'kept')!r}).exists(): time.sleep(0.05)\n"
        "print('the call has seen it'); time.sleep(1)"
    )
    done = run(python(call), bring, keep)
    assert "[host job] the call has seen it" in done.stdout.splitlines()
    assert "[host job] one.a: kept here" in done.stdout.splitlines()
    assert (tmp_path / "kept").read_text() == "one.a"


def test_cases_that_finish_meanwhile_are_brought_together(tmp_path: Path) -> None:
    log = tmp_path / "log"
    bringer = relay.Bringer(
        lambda _: None,
        python(f"import sys, time; open({str(log)!r}, 'a').write(sys.argv[-1] + chr(10)); time.sleep(0.5)"),
        NOTHING,
        pause=0,
    )
    bringer.tell("one")
    while not log.exists():
        time.sleep(0.01)
    bringer.tell("two")
    bringer.tell("three")
    deadline = time.monotonic() + 20
    while len(log.read_text().splitlines()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log.read_text().splitlines() == ["one", "two,three"]


def test_bringing_that_fails_or_hangs_does_not_hold_up_the_call(tmp_path: Path) -> None:
    done = run(python("print('x: ok in 1.0 s')"), python("raise SystemExit(1)"))
    assert (done.returncode, done.stdout) == (0, "[host job] x: ok in 1.0 s\n")
    started = time.monotonic()
    done = run(python("print('x: ok in 1.0 s'); import time; time.sleep(0.5)"), python("import time; time.sleep(50)"))
    assert done.returncode == 0
    assert time.monotonic() - started < 20


def test_what_the_runner_says_of_a_finished_case_is_what_the_relay_looks_for() -> None:
    text = said({"event": "done", "case": "ltx_2.3-x", "record": {"seconds": {"load": 1.0, "generate": 2.0}}})
    found = relay.FINISHED.search(f"217 : [12.3s] | {text}\n")
    assert found
    assert found[1] == "ltx_2.3-x"
    assert not relay.FINISHED.search(str(said({"event": "phase", "case": "x", "phase": "save"})))
    assert not relay.FINISHED.search(str(said({"event": "reused", "case": "x"})))
