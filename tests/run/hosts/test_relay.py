"""The promises of the relay: it shows what each case does, and what is finished is home before the call ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.plan import generation
from ci.run import progress
from ci.run.hosts import relay
from gt_runner.events import ENDS, Event, mark, marked
from gt_runner.supervise import spans
from tests.conftest import ROOT
from tests.support.collector import TRACEPARENT, Collector, collecting
from tests.support.runs import Runner, faulty_case

FOLDERS = [str(ROOT / "containers" / "runner"), str(ROOT / "tests" / "support" / "faulty")]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """An engine that the relay tells of its cases."""
    with collecting() as collector:
        monkeypatch.setenv(spans.ADDRESS, f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv(spans.PARENT, TRACEPARENT)
        yield collector


def names(engine: Collector, count: int) -> list[str]:
    """The names of the spans that have ended, in order; waits for so many."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        ends = [span.name for span in engine.spans if span.end_time_unix_nano]
        if len(ends) >= count:
            return ends
        time.sleep(0.02)
    raise AssertionError(ends)


def log_line(event: Event) -> str:
    """An event in a call's log, as Dagger's plain progress shows it."""
    return f"12 : [3.4s] | {mark(event)}"


def finished(case: str) -> str:
    return log_line({"event": "done", "case": case, "record": {"seconds": {"load": 1.0}}})


def test_of_a_call_that_succeeds_its_cases_are_shown_with_host_and_job_and_nothing_else(engine: Collector) -> None:
    load = log_line({"event": "phase", "case": "one", "phase": "load"})
    lines = " ".join(map(shlex.quote, ["1 : load module: .", load, "3 : uv sync", finished("one")]))
    call = ["sh", "-c", f"[ -z \"${spans.ADDRESS}\" ] && printf '%s\\n' {lines}"]
    env = {**os.environ, "PYTHONPATH": FOLDERS[0]}
    script = ROOT / "ci" / "run" / "hosts" / "relay.py"
    run = subprocess.run(
        [sys.executable, str(script), "host job", "true", *call], capture_output=True, text=True, check=False, env=env
    )
    assert (run.stdout, run.returncode) == ("", 0)
    assert names(engine, 2)[:2] == ["[host job] one load", "[host job] one: made"]


@pytest.mark.parametrize("status", [1, 7])
def test_of_a_call_that_fails_the_end_of_its_log_is_shown_and_the_status_is_the_calls(
    status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert relay.relay("host job", "true", ["sh", "-c", f"seq 3000; echo why >&2; exit {status}"]) == status
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == relay.LAST
    assert lines[-2:] == ["[host job] 3000", "[host job] why"]


def test_finished_cases_are_brought_together_while_the_call_goes_on(
    engine: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PAUSE_S", 0)
    log, line = tmp_path / "log", {case: shlex.quote(finished(case)) for case in ("one", "two", "three")}
    call = (
        f"echo step 1/2; echo {line['one']}; while ! [ -e {log} ]; do sleep 0.05; done\n"
        f"echo {line['two']}; echo {line['three']}\n"
        f"while ! grep -q three {log}; do sleep 0.2; echo step; done; sleep 1; echo step"
    )
    assert relay.relay("host job", f'echo "$1" >> {log}; sleep 0.5', ["sh", "-c", call]) == 0
    assert log.read_text().splitlines() == ["one", "two,three"]
    ends = names(engine, 5)
    assert [name for name in ends if "kept" in name] == [
        "[host job] one: kept here",
        "[host job] two, three: kept here",
    ]


def test_bringing_that_fails_or_hangs_does_not_hold_up_the_call() -> None:
    call = ["sh", "-c", f"echo {shlex.quote(finished('one'))}; echo ok; exit 3"]
    for bring in ("exit 1", "sleep 3"):
        started = time.monotonic()
        assert relay.relay("host job", bring, call) == 3
        assert time.monotonic() - started < 2


def test_the_relay_does_not_care_how_the_runner_words_its_lines(
    engine: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner itself runs, its sentences reworded: the case is brought, and both are shown."""
    spec, arrival = tmp_path / "run.json", tmp_path / "brought"
    spec.write_text(json.dumps(Runner(tmp_path).spec([faulty_case("one"), faulty_case("bad", "raise")])))
    program = (
        "import sys; from gt_runner import __main__; from gt_runner.supervise import console\n"
        "console.line = lambda event: f\"{event.get('case')}: Bild fertig\"\n"
        f"sys.argv[1:] = ['run', {str(spec)!r}, '--events-file', {str(tmp_path / 'events')!r}]\n"
        "sys.exit(__main__.main())"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(FOLDERS))
    monkeypatch.setenv("GT_EVENTS_ON_STDERR", "1")
    assert relay.relay("host job", f'echo "$1" > {arrival}', [sys.executable, "-u", "-c", program]) == 1
    while not arrival.exists() or not arrival.read_text():
        time.sleep(0.05)
    assert arrival.read_text() == "one\n"
    assert {"[host job] one: made", "[host job] bad: failed"} <= set(names(engine, 4))


def test_only_a_line_that_the_runner_marked_is_an_event() -> None:
    event = marked(f"217 : [12.3s] | {mark({'event': 'skipped', 'case': 'ltx_2.3-x', 'reason': 'late'})}\n")
    assert event == {"event": "skipped", "case": "ltx_2.3-x", "reason": "late"}
    for line in ("x: ok in 1.0 s", "gt-event", "gt-event {", "gt-event 1", '{"event": "done", "case": "x"}', ""):
        assert marked(line) is None


def test_the_planner_knows_the_events_that_end_a_case() -> None:
    assert generation.ENDS == ENDS
    assert tuple(progress.ENDS) == ENDS
