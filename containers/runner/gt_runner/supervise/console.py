"""Events as lines for people, where there is no terminal to draw on, and for programs that read the same log."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..events import ENDS, ON_STDERR, Event, mark

if TYPE_CHECKING:
    from ..tasks import RunJob

EVERY_S = 10.0  # between two lines of the same progress

_last: dict[str, float] = {}  # when a line of each progress was written


def show(event: Event) -> None:
    """Write the event to standard error, if a person would want to see it; its machine line where that is asked for."""
    _write(_text(event))


class Groups:
    """Writes events as GitHub's log folds them: a group for each job.

    Groups cannot be nested, so one job is shown at a time. What others say is held back until that one has ended.
    """

    def __init__(self, jobs: Iterable[RunJob]) -> None:
        self._job_of = {case["id"]: job["name"] for job in jobs for case in job["cases"]}
        self._open_cases = Counter(self._job_of.values())  # cases that have not ended
        self._texts: dict[str, str] = {}  # what each job has said and nobody has seen; the first one is shown
        self._current = ""

    def show(self, event: Event) -> None:
        """Write or hold back one event."""
        job, text = self._job_of.get(str(event.get("case"))), _text(event)
        if job is None:
            _write(text)
            return
        self._open_cases[job] -= event["event"] in ENDS
        if text:
            self._texts[job] = self._texts.get(job, "") + text
            self._write_held()

    def close(self) -> None:
        """Write what is held back, of jobs that have not ended too."""
        self._open_cases.clear()
        self._write_held()

    def _write_held(self) -> None:
        while self._texts:
            job, text = next(iter(self._texts.items()))
            _write(text if job == self._current else f"::group::{job}\n{text}")
            self._texts[job], self._current = "", job
            if self._open_cases[job] > 0:
                return
            _write("::endgroup::\n")
            del self._texts[job]
            self._current = ""


def _text(event: Event) -> str:
    lines = [line(event), mark(event) if os.environ.get(ON_STDERR) == "1" else None]
    return "".join(f"{each}\n" for each in lines if each)


def _write(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)  # noqa: T201  # the lines are the output


def line(event: Event) -> str | None:
    """One event in words, or None."""
    text: str | None = None
    match event["event"]:
        case "phase":
            text = f"{event['phase']} on GPU {event['card']}" if "card" in event else event["phase"]
        case "step" if _due(event["case"], last=event["done"] == event["total"]):
            text = f"step {event['done']}/{event['total']}"
        case "fetching" if _due(event["what"], last=event["done"] >= event["total"]):
            text = f"fetch {event['what']}, {event['done'] / 1e9:.1f} of {event['total'] / 1e9:.1f} GB"
        case "retry" | "notice":
            return event["text"]
        case "reused":
            text = "ok, made before"
        case "done":
            text = f"ok in {sum(event['record']['seconds'].values()):.1f} s"
        case "failed":
            text = f"failed in {event['phase']}: {event['reason']}"
        case "skipped":
            text = f"skipped: {event['reason']}"
    return f"{event.get('case')}: {text}" if text else None


def _due(what: str, *, last: bool) -> bool:
    now = time.monotonic()
    if last or now - _last.get(what, -EVERY_S) >= EVERY_S:
        _last[what] = now
        return True
    return False
