"""Cuts a part off a job that is too long for a fleet: one that is the whole run for one GPU leaves the others idle."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from ...plan.jobs import Job

LEAST_MINUTES = 2.0  # a part loads the model once more and is a call of its own, 74 s or so: see docs/hosts/scale.md
PORTION = 0.8  # of what each GPU still has to do: parts get smaller towards the end, and all GPUs end together


def cut(job: Job, share: float, number: int) -> tuple[Job, Job | None]:
    """A part of the job for one GPU, and what is left of it; the whole job where it is short.

    `share` is how many minutes each GPU that suits the job has still to do; the part is named by `number`.
    """
    minutes_wanted = max(LEAST_MINUTES, share * PORTION)
    if job.minutes < minutes_wanted + LEAST_MINUTES:
        return job, None
    ends = accumulate(case.spec.needs.minutes for case in job.cases)
    count = next(count for count, minutes in enumerate(ends, start=1) if minutes >= minutes_wanted)
    if count == len(job.cases):
        return job, None
    # No model's name has a plus in it, so no part is named like another job.
    name = f"{job.name.partition('+')[0]}+{number}"
    return replace(job, name=name, cases=job.cases[:count]), replace(job, cases=job.cases[count:])
