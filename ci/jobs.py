"""Turns selected cases into jobs, and jobs into a CI matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .case import Case

# Upstream's runner labels where they do not follow `<gpus>-gpu-<kind>` (shared facts: GPU routing, native suites).
RUNNER_LABELS = {("h200", 1): "8-gpu-h200", ("b200", 1): "4-gpu-b200", ("any", 1): "ubuntu-latest"}


@dataclass(frozen=True)
class Job:
    """Cases of one source, model and GPU kind: one process that loads the model once and runs them all."""

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
        key = (case.source, case.model, gpu, str(case.spec.needs.gpus), case.id if per_case else "")
        grouped.setdefault(key, []).append(case)
    jobs = [_job(key, group) for key, group in grouped.items()]
    return sorted(jobs, key=lambda job: (-job.minutes, job.name))


def _job(key: tuple[str, ...], cases: Sequence[Case]) -> Job:
    source, model, gpu, gpus, alone = key
    slug = model.lower().replace("/", "--")  # a hub name holds nothing that a file or job name may not
    parts = [source, slug, *([gpu] if gpu != "any" else []), *([f"{gpus}gpu"] if gpus != "1" else [])]
    return Job(alone or "-".join(parts), source, model, gpu, int(gpus), tuple(cases))


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
