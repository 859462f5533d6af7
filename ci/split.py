"""Cuts jobs that are too long for a fleet: one that is the whole run for one GPU leaves the others idle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .case import Case
from .dispatch import Place, suits
from .jobs import Job

LEAST_MINUTES = 15.0  # a part loads the model once more and is a call of its own, 80 s or so: see docs/scale.md
SHARES = 3  # parts, in an even share of a GPU's time: the last to end is late by at most one of them


def split(jobs: Sequence[Job], places: Sequence[Place]) -> list[Job]:
    """The jobs, those that are long for these places cut into parts of equal time."""
    return [part for job in jobs for part in _parts(job, _share(job, jobs, places))]


def _share(job: Job, jobs: Sequence[Job], places: Sequence[Place]) -> float:
    """Minutes that each GPU is busy if all of them that suit the job share all work for that kind."""
    work = sum(each.minutes * each.gpus for each in jobs if each.gpu == job.gpu)
    gpus = sum(max(1, place.gpus) for place in places if suits(job, place))
    return work / max(1, gpus)


def _parts(job: Job, share: float) -> list[Job]:
    count = min(len(job.cases), math.ceil(job.minutes / max(share / SHARES, LEAST_MINUTES)))
    if count < 2:  # noqa: PLR2004
        return [job]
    parts: list[list[Case]] = [[] for _ in range(count)]
    minutes = [0.0] * count
    for case in sorted(job.cases, key=lambda case: -case.spec.needs.minutes):
        least = minutes.index(min(minutes))
        parts[least].append(case)
        minutes[least] += case.spec.needs.minutes
    # No model's name has a plus in it, so no part is named like another job.
    return [replace(job, name=f"{job.name}+{number}", cases=tuple(part)) for number, part in enumerate(parts, start=1)]
