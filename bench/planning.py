"""Measures planning, which must grow no faster than the number of cases: selection, jobs, matrix; and reading YAML."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.catalogue import files
from ci.catalogue.files import Catalogue
from ci.catalogue.gpus import GPU_KINDS
from ci.catalogue.model import Case
from ci.catalogue.official import DiffusersCase
from ci.catalogue.selection import Selection, select
from ci.plan import jobs
from ci.plan.matrix import data_of

from .subject import official, write_cases

PLANNED = (100, 1_000, 10_000, 100_000)
PARSED = (100, 1_000, 10_000)
CASES_PER_MODEL = 10
REPEATS = 3


@dataclass(frozen=True)
class Growth:
    """Seconds by number of cases, the best of a few; `exponent` is 1 where time grows as the number does."""

    cases: list[int]
    seconds: list[float]
    exponent: float  # slope of log(seconds) over log(cases)


@dataclass(frozen=True)
class Planning:
    """`plan` starts from validated cases, `parse` from files: YAML, validation and all."""

    plan: Growth
    parse: Growth


def measure(work: Path, plan_sizes: Sequence[int] = PLANNED, parse_sizes: Sequence[int] = PARSED) -> Planning:
    """Plan and parse that many cases; `work` takes the files."""
    return Planning(
        plan=growth(plan_sizes, [_plan_seconds(count) for count in plan_sizes]),
        parse=growth(parse_sizes, [_parse_seconds(count, work / f"cases-{count}") for count in parse_sizes]),
    )


def growth(cases: Sequence[int], seconds: Sequence[float]) -> Growth:
    """The figures with their exponent; it needs two sizes at least."""
    slope = statistics.linear_regression([math.log(count) for count in cases], [math.log(each) for each in seconds])
    return Growth(list(cases), [round(each, 6) for each in seconds], round(slope.slope, 3))


def bodies(count: int) -> dict[str, dict[str, Any]]:
    """Bodies of cases, as a case file has them, of many models and all GPU kinds."""
    body = official()
    return {
        f"case_{number}": {
            **body,
            "model": {"repo": f"owner/model-{number // CASES_PER_MODEL}"},
            "needs": {"gpu": GPU_KINDS[number % len(GPU_KINDS)], "minutes": body["needs"]["minutes"]},
        }
        for number in range(count)
    }


def plan(catalogue: Catalogue) -> int:
    """What `gt matrix` does with a catalogue; returns how many cases the matrix holds."""
    matrix = data_of(jobs.plan(select(catalogue, Selection(official=True))))
    return sum(entry["case_count"] for entry in matrix["include"])


def _plan_seconds(count: int) -> float:
    file = Path("cases.yaml")
    cases = {
        name: Case(name, "diffusers", DiffusersCase.model_validate(body), None, file)
        for name, body in bodies(count).items()
    }
    catalogue = Catalogue(cases, {})
    return _best(lambda: plan(catalogue), count)


def _parse_seconds(count: int, folder: Path) -> float:
    write_cases(folder, bodies(count))
    return _best(lambda: len(files.load(folder).cases), count)


def _best(action: Callable[[], int], number: int) -> float:
    """Seconds of the quickest of a few: what is slower was slowed down by something else."""
    best = math.inf
    for _ in range(REPEATS):
        started = time.perf_counter()
        count = action()
        best = min(best, time.perf_counter() - started)
        assert count == number, "not every case came through"
    return best
