"""What an engine is told of a run's cases, read by OpenTelemetry's own messages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gt_runner.supervise import spans
from tests.conftest import ROOT
from tests.support.collector import PARENT, TRACE, TRACEPARENT, Collector, collecting

EVENTS: list[dict[str, Any]] = [
    {"event": "reused", "case": "old", "record": {}},
    {"event": "fetching", "case": "new", "what": "owner/name", "done": 5_000_000, "total": 20_000_000},
    {"event": "ready", "case": "new", "key": "", "fetched": {}, "seconds": 1},
    {"event": "phase", "case": "new", "phase": "load"},
    {"event": "phase", "case": "new", "phase": "generate"},
    {"event": "step", "case": "new", "done": 2, "total": 4},
    {"event": "phase", "case": "bad", "phase": "load"},
    {"event": "failed", "case": "bad", "phase": "load", "reason": "CUDA out of memory, é", "log": []},
    {"event": "done", "case": "new", "record": {}},
]
PROGRAM = f"""
from gt_runner.supervise.spans import Spans
watched = Spans()
for event in {EVENTS!r}:
    watched.show(event)
"""


def watch(address: str, parent: str = TRACEPARENT) -> None:
    """Show the events in a process, as a run does."""
    environment = {"PYTHONPATH": str(ROOT / "containers" / "runner"), spans.ADDRESS: address, spans.PARENT: parent}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.fixture(scope="module")
def watched() -> Iterator[Collector]:
    """A collector that has been told of all events."""
    with collecting() as collector:
        watch(f"http://127.0.0.1:{collector.server_port}/v1/traces")
        yield collector


def test_cases_and_their_phases_are_spans_under_the_callers(watched: Collector) -> None:
    last = {span.span_id: span for span in watched.spans}
    names = {span.name: span for span in last.values()}
    assert {span.trace_id.hex() for span in last.values()} == {TRACE}
    cases = {"old: made before", "new: fetched", "new: made", "bad: failed"}
    assert names.keys() == cases | {
        "new fetch: owner/name, MB 5 of 20",
        "new load",
        "bad load",
        "new generate: step 2 of 4",
    }
    assert {names[case].parent_span_id.hex() for case in cases} == {PARENT}
    assert names["new generate: step 2 of 4"].parent_span_id == names["new: made"].span_id
    assert all(0 < span.start_time_unix_nano <= span.end_time_unix_nano for span in last.values())
    first = {span.span_id: span for span in reversed(watched.spans)}
    assert first[names["new: made"].span_id].end_time_unix_nano == 0  # it is shown while it runs


def test_steps_are_progress_and_a_failure_is_an_error_with_its_reason(watched: Collector) -> None:
    names = {span.name: span for span in watched.spans}
    progress = {each.key: each.value.int_value for each in names["new generate: step 2 of 4"].attributes}
    assert progress == {"dagger.io/progress.current": 2, "dagger.io/progress.total": 4}
    assert (names["bad: failed"].status.code, names["bad: failed"].status.message) == (2, "CUDA out of memory, é")
    assert names["new: made"].status.code == 0


def test_a_message_has_every_part_that_engines_read(watched: Collector) -> None:
    """An engine of version 0.21 ends with a fault, and loses its state, where the resource is missing."""
    for request in watched.requests:
        (resource,) = request.resource_spans
        (scope,) = resource.scope_spans
        assert resource.HasField("resource")
        assert scope.HasField("scope")
        assert all(span.HasField("status") for span in scope.spans)


def test_where_no_caller_watches_nothing_is_sent() -> None:
    with collecting() as collector:
        for parent in ("", "00-xyz-01"):
            watch(f"http://127.0.0.1:{collector.server_port}/v1/traces", parent)
        assert collector.requests == []


def test_a_run_does_not_depend_on_who_watches_it() -> None:
    watch("http://127.0.0.1:9/")
    with collecting(status=500) as broken:
        watch(f"http://127.0.0.1:{broken.server_port}/")
