"""The runner's events, as the lines that it writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def events_in(lines: Iterable[str]) -> Iterator[Any]:
    """The events of these lines; one that a killed runner, or a node that dies, did not write to its end is none."""
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and "event" in event:
            yield event
