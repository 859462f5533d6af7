"""The events of a run: what the runner's processes write, and what whoever started it reads.

Each event is one line of JSON. A case ends in exactly one event of ENDS.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Literal, NotRequired, TypedDict

from .contract import Fetched

Phase = Literal["fetch", "load", "generate", "save"]
ENDS: Final = ("done", "reused", "failed", "skipped")
OUT_OF_MEMORY: Final = "out of GPU memory"  # how the reason of a case begins that had not enough of it
ON_STDERR = "GT_EVENTS_ON_STDERR"  # set to 1: a line for programs beside each line for people
_MARK = "gt-event "  # what such a line has in front of its JSON
_LARGE = ("record", "fetched", "log")


class PhaseEvent(TypedDict):
    """A case enters a phase."""

    event: Literal["phase"]
    case: str
    phase: Phase
    card: NotRequired[str]  # the GPU that it is on, by number; several are parted by commas


class LoadedEvent(TypedDict):
    """A process has loaded the model of a case. It may be given another case, or wait for its GPU."""

    event: Literal["loaded"]
    case: str
    card: NotRequired[str]  # as of a phase


class StepEvent(TypedDict):
    """Denoising steps that are done, and steps in all."""

    event: Literal["step"]
    case: str
    done: int
    total: int


class FetchingEvent(TypedDict):
    """Bytes of one repository or input that are there, and bytes in all."""

    event: Literal["fetching"]
    case: str
    what: str
    done: int
    total: int


class ReadyEvent(TypedDict):
    """The files of a case are on this machine."""

    event: Literal["ready"]
    case: str
    key: str  # in the result store
    fetched: Fetched
    seconds: float


class ReadAheadEvent(TypedDict):
    """The weights of a job are in the page cache."""

    event: Literal["read_ahead"]
    job: str
    bytes: int
    seconds: float


class RetryEvent(TypedDict):
    """A request failed and is made again after a pause."""

    event: Literal["retry"]
    text: str  # for people


class NoticeEvent(TypedDict):
    """Something that a person should know, such as a GPU that is left out."""

    event: Literal["notice"]
    text: str


class MissingEvent(TypedDict):
    """A case that the result store does not have; for the supervisor alone."""

    event: Literal["missing"]
    case: str


class AskEvent(TypedDict):
    """A process asks for what it may do next; for the supervisor alone.

    A worker asks for a case, and gets a `Prepared`, or null where there is none left. The fetch phase asks how many
    bytes it may read ahead, and gets a number.
    """

    event: Literal["ask"]
    bytes: NotRequired[int]  # of the weights that the fetch phase would read


class ReusedEvent(TypedDict):
    """The result store has the case."""

    event: Literal["reused"]
    case: str
    record: dict[str, Any]


class DoneEvent(TypedDict):
    """The case was made, and is in the result store."""

    event: Literal["done"]
    case: str
    record: dict[str, Any]
    verification: NotRequired[dict[str, Any]]  # how it differs from an earlier run's files


class FailedEvent(TypedDict):
    """The case could not be made."""

    event: Literal["failed"]
    case: str
    phase: Phase
    reason: str
    log: NotRequired[list[str]]  # the last lines of the process that made it


class SkippedEvent(TypedDict):
    """The case was not begun."""

    event: Literal["skipped"]
    case: str
    reason: str


Ending = DoneEvent | ReusedEvent | FailedEvent | SkippedEvent
Event = (
    PhaseEvent
    | LoadedEvent
    | StepEvent
    | FetchingEvent
    | ReadyEvent
    | ReadAheadEvent
    | RetryEvent
    | NoticeEvent
    | MissingEvent
    | AskEvent
    | Ending
)
Emit = Callable[[Event], None]


def mark(event: Event) -> str:
    """The event as a line in a log for people; without its large parts, which a manifest holds."""
    return _MARK + json.dumps({name: value for name, value in event.items() if name not in _LARGE})


def marked(line: str) -> dict[str, Any] | None:
    """The event of a line that `mark` made, whatever a log has put in front of it; None for any other line."""
    _, mark_found, text = line.partition(_MARK)
    return parsed(text) if mark_found else None


def parsed(line: str | bytes) -> dict[str, Any] | None:
    """The event of a line; None for what is none, such as a line that a killed process did not write to its end."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
