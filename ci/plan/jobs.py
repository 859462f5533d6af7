"""Turns selected cases into jobs, and jobs into a CI matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..catalogue.model import Case
from ..catalogue.native import EngineCase
from .partitions import partition

# Upstream's runner labels where they do not follow `<gpus>-gpu-<kind>` (shared facts: GPU routing, native suites).
RUNNER_LABELS = {("h200", 1): "8-gpu-h200", ("b200", 1): "4-gpu-b200", ("any", 1): "ubuntu-latest"}
SEVERAL = "several models"  # of a part of a suite


@dataclass(frozen=True)
class Job:
    """Cases of one source and GPU kind that run on a host one after the other.

    Official ones are of one model, which one process loads once; native ones are a part of a suite of their engine.
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
        return RUNNER_LABELS.get((self.gpu, self.gpus), f"{self.gpus}-gpu-{self.gpu}")


def plan(cases: Iterable[Case], *, per_case: bool = False, on: str | None = None) -> list[Job]:
    """Group cases into jobs, the longest first.

    `per_case` gives each case a job of its own; `on` runs every case on that GPU kind, whatever the case needs.
    """
    grouped: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        gpu = on or case.spec.needs.gpu
        together = case.spec.suite if isinstance(case.spec, EngineCase) and not per_case else case.model
        key = (case.source, together, gpu, str(case.spec.needs.gpus), case.id if per_case else "")
        grouped.setdefault(key, []).append(case)
    parts: Counter[tuple[str, str]] = Counter()
    jobs = [job for key, group in grouped.items() for job in _jobs(key, group, parts)]
    return sorted(jobs, key=lambda job: (-job.minutes, job.name))


def _jobs(key: tuple[str, ...], cases: Sequence[Case], parts: Counter[tuple[str, str]]) -> Iterator[Job]:
    """One job, or the parts of a suite; `parts` counts those that were given, by source and suite."""
    source, together, gpu, gpus, alone = key
    if alone or not isinstance(cases[0].spec, EngineCase):
        yield Job(alone or _name(*key[:-1]), source, together, gpu, int(gpus), tuple(cases))
        return
    known = {case.id: case for case in cases}
    for ids in partition({case.id: case.spec.needs.minutes * 60 for case in cases}):
        part = tuple(known[name] for name in ids)
        models = {case.model for case in part}
        model = models.pop() if len(models) == 1 else SEVERAL
        yield Job(f"{source}-{together}-{parts[source, together]}", source, model, gpu, int(gpus), part)
        parts[source, together] += 1


def _name(source: str, model: str, gpu: str, gpus: str) -> str:
    slug = model.lower().replace("/", "--")  # a hub name holds nothing that a file or job name may not
    return "-".join([source, slug, *([gpu] if gpu != "any" else []), *([f"{gpus}gpu"] if gpus != "1" else [])])


def matrix(jobs: Iterable[Job]) -> dict[str, list[dict[str, Any]]]:
    """The jobs as a CI matrix. The case count stands in each entry: a further top-level key would be a matrix axis."""
    return {
        "include": [
            {
                "job": job.name,
                "case_ids": " ".join(case.id for case in job.cases),
                "case_count": len(job.cases),
                "source": job.source,
                "model": job.model,
                "gpu": job.gpu,
                "gpus": job.gpus,
                "runner": job.runner_label,
                "minutes": job.minutes,
            }
            for job in jobs
        ]
    }
