"""Measures generation: the runner against the bare pipeline, against its floor, and against a process per case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import reading, runs
from .reading import Reading
from .runs import Run
from .subject import Subject

PER_CASE = 3  # cases that are run with a process for each


@dataclass(frozen=True)
class Overhead:
    """What the runner takes on top of the bare pipeline, as a share of it; below 0 where it is faster.

    `wall` compares whole runs; `wall_without_imports` leaves everything but one load and the calls out of what is
    compared with. `own_clock` compares the seconds outside of loads and calls only, so that calls which happened to run
    slower on one side do not count.
    """

    wall: float
    wall_without_imports: float
    own_clock: float


@dataclass(frozen=True)
class Round:
    """One run of each, from the same state of the page cache: `weights` is `cold` or `warm`."""

    weights: str
    bare: Run
    runner: Run
    same_images: bool  # byte for byte
    overhead: Overhead
    floor_seconds: float  # the larger of reading the weights once and the sum of the calls
    over_floor: float  # the runner's wall time / floor


@dataclass(frozen=True)
class PerCase:
    """A process for each case, against one for all cases; both with a warm page cache.

    It runs the first cases only, since each costs a whole load: what is compared is the wall time per case.
    """

    run: Run
    over_grouped: float  # wall time per case / wall time per case of the grouped run


@dataclass(frozen=True)
class SecondRun:
    """The same command again, with nothing changed."""

    wall_seconds: float
    made: int  # cases; must be 0


@dataclass(frozen=True)
class LoadRates:
    """Bytes of the weights / seconds of the load, in GB/s (1e9 bytes).

    Where the weights are cold, the runner has begun to read them before its load begins.
    """

    bare_cold: float
    bare_warm: float
    runner_cold: float
    runner_warm: float


@dataclass(frozen=True)
class Generation:
    """All figures of generation. `first` is a run of one step that also takes the sha256 of the weights, once."""

    reading: Reading
    first: Run
    rounds: list[Round]
    per_case: PerCase
    second_run: SecondRun
    load_rates: LoadRates


def measure(subject: Subject, warm_rounds: int) -> Generation:
    """A cold round, then warm ones, the sides taking turns to go first. Raises BenchError where a run fails."""
    files = reading.weight_files(subject.model)
    first = runs.runner(subject, "first", cases=subject.some(1, steps=1))
    read = reading.measure(files)
    rounds = [_round(subject, number, read, [] if number else files) for number in range(1 + warm_rounds)]
    each = runs.runner(subject, "per-case", "--per-case", cases=subject.some(PER_CASE))
    again = runs.runner(subject, "again", cache=f"runner-{warm_rounds}")
    return Generation(
        reading=read,
        first=first,
        rounds=rounds,
        per_case=per_case(each, rounds[-1].runner),
        second_run=SecondRun(again.wall_seconds, again.made),
        load_rates=load_rates(read.weights_bytes, rounds),
    )


def _round(subject: Subject, number: int, read: Reading, cold: Sequence[Path]) -> Round:
    """One round; `cold` are the files that are dropped from the page cache before each run."""
    sides = {"bare": runs.bare, "runner": runs.runner}
    runs_by_side: dict[str, Run] = {}
    for side in sorted(sides, reverse=bool(number % 2)):
        reading.forget(cold)
        runs_by_side[side] = sides[side](subject, f"{side}-{number}")
    return compare(runs_by_side["bare"], runs_by_side["runner"], read, "cold" if cold else "warm")


def compare(bare: Run, runner: Run, read: Reading, weights: str) -> Round:
    """The ratios of one round."""
    floor = max(read.cold_seconds if weights == "cold" else read.warm_seconds, sum(runner.call_seconds))
    work = sum(bare.load_seconds) + sum(bare.call_seconds)
    overhead = Overhead(
        wall=round(runner.wall_seconds / bare.wall_seconds - 1, 4),
        wall_without_imports=round(runner.wall_seconds / work - 1, 4),
        own_clock=round((runner.own_seconds - bare.own_seconds) / bare.wall_seconds, 4),
    )
    return Round(
        weights=weights,
        bare=bare,
        runner=runner,
        same_images=bare.images == runner.images,
        overhead=overhead,
        floor_seconds=round(floor, 3),
        over_floor=round(runner.wall_seconds / floor, 3),
    )


def per_case(each: Run, grouped: Run) -> PerCase:
    """The ratio of the wall times per case."""
    return PerCase(each, round(each.wall_seconds / each.made / (grouped.wall_seconds / grouped.made), 3))


def load_rates(weights_bytes: int, rounds: Sequence[Round]) -> LoadRates:
    """Of the first round, which is cold, and of the last, which is warm."""
    cold, warm = rounds[0], rounds[-1]
    loads = [side.load_seconds[0] for side in (cold.bare, warm.bare, cold.runner, warm.runner)]
    return LoadRates(*(reading.rate(weights_bytes, seconds) for seconds in loads))
