"""The CI matrix: made of jobs under a limit, and read back after a CI's variables and files have carried it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field, ValidationError

from ..errors import GtError, printable
from ..words import at_least, counted, first_mistake
from .jobs import SEVERAL, Job, longest_first

GITHUB_LIMIT = 256  # entries of a matrix that GitHub runs; of more it runs none

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Entry(BaseModel):
    """A job of the matrix; who reads it names the further keys that it needs."""

    job: Word
    case_ids: str = Field(pattern=r"^[A-Za-z0-9._ -]+$")

    @property
    def cases(self) -> list[str]:
        """The job's cases."""
        return self.case_ids.split()


E = TypeVar("E", bound=Entry)


class _Matrix(BaseModel, Generic[E]):
    include: list[E] = Field(min_length=1)


def entries(text: str, entry: type[E]) -> list[E]:
    """The jobs of a matrix. Raises GtError where the text is none."""
    try:
        return _Matrix[entry].model_validate_json(text).include  # type: ignore[valid-type]  # a type, at run time
    except ValidationError as error:
        raise GtError(f"this is no matrix: {printable(first_mistake(error))}; `gt matrix` prints one") from None


def data_of(jobs: Iterable[Job]) -> dict[str, list[dict[str, Any]]]:
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
                "minutes": at_least(job.minutes, 3),
            }
            for job in jobs
        ]
    }


def grouped(jobs: Sequence[Job], limit: int = GITHUB_LIMIT) -> list[Job]:
    """At most `limit` jobs with the same cases: the shortest ones of one runner are put together.

    Jobs of one model are put together first. Raises GtError where the limit is below the number of sources and runners
    that the jobs need.
    """
    count = len({_same_runner(job) for job in jobs})
    if limit < count:
        most = counted(limit, "entry")
        raise GtError(f"the jobs need {counted(count, 'kind')} of runner; a matrix of {most} is too small for them")
    by_model = _together(jobs, limit, lambda job: (*_same_runner(job), job.model))
    entries = _together(by_model, limit, _same_runner)
    return longest_first(entries)


def grouping(jobs: Sequence[Job], entries: Sequence[Job], limit: int) -> str | None:
    """Say that jobs were put together, for a person; None if they were not."""
    if len(entries) == len(jobs):
        return None
    words = f"{len(jobs)} jobs were put together into {counted(len(entries), 'entry')}"
    return f"{words}: a matrix holds at most {limit}"


def _same_runner(job: Job) -> tuple[str, str, int]:
    return job.source, job.gpu, job.gpus


def _together(jobs: Sequence[Job], limit: int, kind: Callable[[Job], Hashable]) -> list[Job]:
    """Put together the two shortest jobs of one kind, again and again, until there are no more than `limit`."""
    heaps: defaultdict[Hashable, list[tuple[float, str, Job]]] = defaultdict(list)
    for job in jobs:
        heapq.heappush(heaps[kind(job)], (job.minutes, job.name, job))
    pairs = [(_shortest_two(heap), position) for position, heap in enumerate(heaps.values()) if len(heap) > 1]
    heapq.heapify(pairs)
    count, of_kind, names = len(jobs), list(heaps.values()), {job.name for job in jobs}
    while count > limit and pairs:
        _, position = heapq.heappop(pairs)
        heap = of_kind[position]
        one, other = heapq.heappop(heap)[2], heapq.heappop(heap)[2]
        model = one.model if one.model == other.model else SEVERAL
        name = f"{one.cases[0].id}-and-more"
        while name in names:
            name += "-more"
        names.add(name)
        job = Job(name, one.source, model, one.gpu, one.gpus, (*one.cases, *other.cases))
        heapq.heappush(heap, (job.minutes, job.name, job))
        if len(heap) > 1:
            heapq.heappush(pairs, (_shortest_two(heap), position))
        count -= 1
    return [job for heap in of_kind for _, _, job in heap]


def _shortest_two(heap: Sequence[tuple[float, str, Job]]) -> float:
    return heap[0][0] + min(entry[0] for entry in heap[1:3])
