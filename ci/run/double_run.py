"""The double run: each case made a second time, past the result store; the manifest says what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..plan.generation import Event, Generation


def again(run: Generation) -> Generation:
    """The second run: with a nonce of its own, and in reverse order, so that a case that leans on another is found."""
    jobs = [replace(job, cases=job.cases[::-1]) for job in run.jobs]
    return Generation(run.selection, run.cases, jobs, run.host, run.on, fresh=True)


def settle(first: Mapping[str, Event], second: Mapping[str, Event]) -> None:
    """Write into the outcomes of the first run what the second one says of each case that the first one made."""
    for name, event in first.items():
        if event["event"] != "done":
            continue
        other = second.get(name, {"event": "failed", "reason": "the second run ended without a word about this case"})
        if other["event"] == "skipped":  # interrupted: nothing is known
            continue
        verification = other.get("verification") or {"reason": other["reason"]}
        same = "verification" in other and not verification["differences"]
        event["record"] |= {"reproducible": same, "verification": verification}
