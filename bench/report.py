"""Runs of several models: how one is named, what is said of it, and several.json, which holds them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .machine import Machine

SETS = {"six": (1, 6), "four": (4, 3)}  # models, cases of each
STATES = ("warm", "cold", "again", "taken")


@dataclass(frozen=True)
class Order:
    """A run to be made."""

    set: str
    state: str
    gpus: int  # 0 on a CPU
    steps: int | None = None  # of each case; None: the case's own number

    @property
    def name(self) -> str:
        """For people."""
        where = "CPU" if self.gpus == 0 else "1 GPU" if self.gpus == 1 else f"{self.gpus} GPUs"
        return ", ".join([self.set, self.state, where, *([f"{self.steps} steps"] if self.steps else [])])

    @classmethod
    def parse(cls, text: str) -> Order:
        """SET:STATE:GPUS[:STEPS]. Raises ValueError."""
        name, state, gpus, *steps = text.split(":")
        if name not in SETS or state not in STATES or len(steps) > 1:
            raise ValueError(text)
        return cls(name, state, int(gpus), *map(int, steps))


def at_once(text: str) -> list[Order]:
    """RUN+RUN… Raises ValueError."""
    return [Order.parse(each) for each in text.split("+")]


@dataclass
class Run:
    """One run. `over_floor` is its wall time over the floor.

    `busy` and `kernels` are shares of the time from a GPU's first call to its last: with a call, and with a kernel.
    """

    name: str
    set: str
    state: str
    gpus: int
    steps: int
    beside: list[str] = field(default_factory=list)  # runs that were made at the same time
    error: str = ""
    wall: float = 0.0
    floor: dict[str, float] = field(default_factory=dict)
    over_floor: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)
    kernels: dict[str, float | None] = field(default_factory=dict)
    made: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # by case: the reason
    notices: list[str] = field(default_factory=list)
    processes: list[float] = field(default_factory=list)  # when each process that held a model began
    files: dict[str, str] = field(default_factory=dict)  # sha256 by name
    events: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)
    samples: list[list[float]] = field(default_factory=list)


@dataclass
class Report:
    """several.json."""

    date: str
    machine: Machine
    architecture: str
    bytes_of_models: list[int] = field(default_factory=list)
    weights_made_seconds: float = 0.0
    read_gb_s: dict[str, float] = field(default_factory=dict)  # plain sequential, by state of the page cache
    same_bytes: dict[str, bool] = field(default_factory=dict)  # by set and steps: whether all its runs gave one result
    ratios: dict[str, float] = field(default_factory=dict)  # wall time on more GPUs over that on one
    runs: list[Run] = field(default_factory=list)

    def write(self, output: Path) -> None:
        """With what follows from the runs so far."""
        whole = [run for run in self.runs if not run.error and not run.failed and run.state != "again"]
        groups: dict[str, list[Run]] = {}
        for run in whole:
            groups.setdefault(f"{run.set}, {run.steps} steps", []).append(run)
        self.same_bytes = {
            name: len({json.dumps(run.files, sort_keys=True) for run in group}) == 1
            for name, group in groups.items()
            if len(group) > 1
        }
        ones = {(run.set, run.state, run.steps): run.wall for run in whole if run.gpus == 1}
        more = [(run, ones.get((run.set, run.state, run.steps))) for run in whole if run.gpus > 1]
        self.ratios = {run.name: round(run.wall / one, 3) for run, one in more if one is not None}
        (output / "several.json").write_text(json.dumps(asdict(self)) + "\n")
