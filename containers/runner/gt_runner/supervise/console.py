"""Events as lines for people, where there is no terminal to draw on."""

from __future__ import annotations

import sys
import time

from .process import Event

_said: dict[str, float] = {}
EVERY = 10.0  # seconds between two lines of the same progress


def show(event: Event) -> None:
    """Write the event to standard error, if a person would want to see it."""
    text = line(event)
    if text:
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # the lines are the output


def line(event: Event) -> str | None:
    """One event in words, or None."""
    name, said = event.get("case", ""), None
    match event["event"]:
        case "phase":
            said = event["phase"]
        case "step" if _due(name, last=event["done"] == event["total"]):
            said = f"step {event['done']}/{event['total']}"
        case "fetching" if _due(event["what"], last=event["done"] >= event["total"]):
            said = f"fetch {event['what']}, {event['done'] / 1e9:.1f} of {event['total'] / 1e9:.1f} GB"
        case "reused":
            said = "ok, made before"
        case "done":
            said = f"ok in {sum(event['record']['seconds'].values()):.1f} s"
        case "failed":
            said = f"failed in {event['phase']}: {event['reason']}"
        case "skipped":
            said = f"skipped: {event['reason']}"
    return f"{name}: {said}" if said else None


def _due(what: str, *, last: bool) -> bool:
    now = time.monotonic()
    if last or now - _said.get(what, -EVERY) >= EVERY:
        _said[what] = now
        return True
    return False
