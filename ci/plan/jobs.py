"""Turns selected cases into jobs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ..catalogue import gpus
from ..catalogue.model import Case
from ..catalogue.native import ServingCase

ANYWHERE = "ubuntu-latest"  # the runner for a case that needs no certain card
SEVERAL = "several models"
Key = tuple[str, str, str, int, str]  # source, model or suite, GPU kind, number of GPUs, and the case if it is alone

# How native cases are split: the defaults of sglang's scripts/ci/utils/diffusion/compute_diffusion_partitions.py.
MIN_SECONDS = 1200.0
TARGET_SECONDS = 1800.0
MAX_SECONDS = 2400.0
MAX_PARTS = 10


@dataclass(frozen=True)
class Job:
    """Cases of one source and GPU kind that run on a host one after the other.

    Official ones are of one model, which one process loads once; native ones are a part of a suite.
    """

    name: str
    source: str
    model: str
    gpu: str
    gpus: int
    cases: tuple[Case, ...]

    @property
    def minutes(self) -> float:
        """Expected minutes of all cases; an upper estimate, since each case's figure has a load of its own in it."""
        return sum(case.spec.needs.minutes for case in self.cases)

    @property
    def runner_label(self) -> str:
        """The label of the CI runner that has what the job needs."""
        is_anywhere = self.gpu == gpus.ANY and self.gpus == 1
        return ANYWHERE if is_anywhere else gpus.runner_label(self.gpu, self.gpus)


def plan(cases: Iterable[Case], *, per_case: bool = False, on: str | None = None) -> list[Job]:
    """Group cases into jobs, the longest first.

    `per_case` gives each case a job of its own; `on` runs every case on that GPU kind, whatever the case needs.
    """
    groups: dict[Key, list[Case]] = {}
    for case in cases:
        gpu = on or case.spec.needs.gpu
        unit = case.spec.suite if isinstance(case.spec, ServingCase) and not per_case else case.model
        key = (case.source, unit, gpu, case.spec.needs.gpus, case.id if per_case else "")
        groups.setdefault(key, []).append(case)
    parts: Counter[tuple[str, str]] = Counter()
    jobs = [job for key, group in groups.items() for job in _jobs(key, group, parts)]
    return longest_first(jobs)


def spread(jobs: Sequence[Job], gpus: int) -> list[Job]:
    """The jobs, of which those with the most cases are split into even parts while so many GPUs would else idle.

    A part costs another load of the model. Parts of a suite stay as they are.
    """
    parts = [[job] for job in jobs]  # of each job, the first with the most cases
    while True:
        room = gpus - sum(job.gpus for job in chain(*parts))
        candidates = [
            number
            for number, (most, *_) in enumerate(parts)
            if len(most.cases) > 1 and most.gpus <= room and most.cases[0].serving is None
        ]
        if not candidates:
            return longest_first(chain(*parts))
        number = max(candidates, key=lambda number: (len(parts[number][0].cases), parts[number][0].minutes))
        job, count = jobs[number], len(parts[number]) + 1
        parts[number] = [replace(job, cases=job.cases[start::count]) for start in range(count)]


def longest_first(jobs: Iterable[Job]) -> list[Job]:
    """The jobs in the order in which they are begun."""
    return sorted(jobs, key=lambda job: (-job.minutes, job.name))


def _jobs(key: Key, cases: Sequence[Case], parts: Counter[tuple[str, str]]) -> Iterator[Job]:
    """One job, or the parts of a suite; `parts` counts those before, by source and suite."""
    source, unit, gpu, gpus, case_id = key
    if case_id or not isinstance(cases[0].spec, ServingCase):
        yield Job(case_id or _name(source, unit, gpu, gpus), source, unit, gpu, gpus, tuple(cases))
        return
    by_id = {case.id: case for case in cases}
    for ids in partition({case.id: case.spec.needs.minutes * 60 for case in cases}):
        part = tuple(by_id[name] for name in ids)
        models = {case.model for case in part}
        model = models.pop() if len(models) == 1 else SEVERAL
        yield Job(f"{source}-{unit}-{parts[source, unit]}", source, model, gpu, gpus, part)
        parts[source, unit] += 1


def partition(seconds: Mapping[str, float]) -> list[list[str]]:
    """Split ids by their expected seconds, as upstream's tool does: the longest first, always onto the emptiest part.

    The order of `seconds` does not matter. A case that is longer than MAX_SECONDS stays whole. Where upstream would
    start empty parts (fewer ids than parts), there are none.
    """
    parts: list[list[str]] = [[] for _ in range(_part_count(math.fsum(seconds.values())))]
    loads = [0.0] * len(parts)
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        emptiest = loads.index(min(loads))
        parts[emptiest].append(name)
        loads[emptiest] += seconds[name]
    return [part for part in parts if part]


def _part_count(total: float) -> int:
    """As near to the target as the bounds allow. They never exclude each other, since one is twice the other."""
    minimum = math.ceil(total / MAX_SECONDS)
    most = max(1, math.floor(total / MIN_SECONDS))
    return max(1, min(max(minimum, min(math.ceil(total / TARGET_SECONDS), most)), MAX_PARTS))


def _name(source: str, model: str, gpu: str, gpus: int) -> str:
    slug = model.lower().replace("/", "--")  # a hub name holds nothing that a file or job name may not
    return "-".join([source, slug, *([gpu] if gpu != "any" else []), *([f"{gpus}gpu"] if gpus != 1 else [])])
