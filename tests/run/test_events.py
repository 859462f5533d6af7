"""Reading what a runner wrote."""

from __future__ import annotations

import json

import pytest

from ci.run.events import events_in

WHOLE = {"event": "phase", "case": "one", "phase": "load"}


@pytest.mark.parametrize(
    "torn", ['{"event": "done", "ca', "", "Killed", "[]", "1", '{"case": "one"}', "\x00\x00", "\ufffd", "[" * 100_000]
)
def test_a_line_that_was_not_written_to_its_end_is_no_event(torn: str) -> None:
    assert list(events_in([torn, json.dumps(WHOLE), torn])) == [WHOLE]
