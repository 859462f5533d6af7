"""The promises of results on an engine: an outcome stays, and what has one is not made again."""

from __future__ import annotations

from typing import Any

from ci.plan.jobs import plan
from ci.run.results import Results, Step
from tests.support.factory import case

DIRECTORY: Any = object()
EVENTS: list[Any] = [
    {"event": "phase", "case": "one", "phase": "load"},
    {"event": "done", "case": "one", "record": {}},
    {"event": "skipped", "case": "two", "reason": "interrupted"},
]


def test_what_a_step_made_is_neither_made_nor_failed_again_and_its_files_are_kept() -> None:
    results, (job,) = Results(), plan([case(name) for name in ("one", "two", "three")])
    results.add(Step(EVENTS, DIRECTORY, None))
    assert [each.id for each in results.rest(job).cases] == ["three"]
    results.fail(["one", "three"], "no host is left for it")
    assert {name: event["event"] for name, event in results.outcomes.items()} == {
        "one": "done",
        "two": "skipped",
        "three": "failed",
    }
    assert (results.directories, results.traces) == ([DIRECTORY], [])
    assert results.rest(job).cases == ()
