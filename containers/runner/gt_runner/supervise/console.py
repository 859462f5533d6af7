"""Events as lines for people, where there is no terminal to draw on, and for programs that read the same log."""

from __future__ import annotations

import os
import sys
import time

from ..events import ON_STDERR, Event, mark

EVERY_S = 10.0  # between two lines of the same progress

_last: dict[str, float] = {}  # when a line of each progress was written


def show(event: Event) -> None:
    """Write the event to standard error, if a person would want to see it; its machine line where that is asked for."""
    lines = [line(event), mark(event) if os.environ.get(ON_STDERR) == "1" else None]
    text = "".join(f"{each}\n" for each in lines if each)
    if text:
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
