"""The double run: each case made a second time, past the result store; the manifest says what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..plan.generation import Generation

if TYPE_CHECKING:  # the runner is not installed where this runs
    from gt_runner.events import Ending


def again(run: Generation) -> Generation:
    """The second run: with a nonce of its own, and in reverse order, so that a case that leans on another is found."""
    jobs = [replace(job, cases=job.cases[::-1]) for job in run.jobs]
    return Generation(run.selection, run.cases, jobs, run.host, run.on, fresh=True)


def settle(first: Mapping[str, Ending], second: Mapping[str, Ending]) -> None:
    """Write into the outcomes of the first run what the second one says of each case that the first one made."""
    for name, event in first.items():
        if event["event"] != "done":
            continue
        other = second.get(name)
        verification: Mapping[str, Any] = {"reason": "the second run ended without a result for this case"}
        if other is not None and other["event"] == "skipped":  # interrupted: nothing is known
            continue
        if other is not None and other["event"] == "failed":
            verification = {"reason": other["reason"]}
        elif other is not None and other["event"] == "done":
            verification = other["verification"]
        is_same = verification.get("differences") == []
        event["record"] |= {"reproducible": is_same, "verification": verification}
