"""What rounding explains: `tolerances.yaml`, and how its figures are applied."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..data import Data, read
from ..text import number
from . import stages
from .dtypes import SHORT

FILE = Path(__file__).with_name("tolerances.yaml")


class Figures(Data):
    """The relative errors that one dtype explains."""

    drawn: float
    network: float
    most: float


class Tolerances(Data):
    """`tolerances.yaml`."""

    version: Literal[1]
    dtypes: dict[str, Figures]
    gain: float
    peak: float


@functools.cache
def tolerances() -> Tolerances:
    """The tolerances in force."""
    return read(FILE, Tolerances)


@dataclass(frozen=True)
class Limit:
    """The relative error up to which a stage counts as the same, and what explains it."""

    value: float
    why: str  # in words: what explains so much

    @property
    def peak(self) -> float:
        """The same for one element, by its own size and the root mean square."""
        return self.value * tolerances().peak


def explained(stage: str, dtype: str) -> float:
    """The relative error that rounding to a dtype explains at a stage whose inputs are equal; 0 for whole numbers."""
    figures = tolerances().dtypes.get(dtype)
    if figures is None:
        return 0.0
    drawn = stages.family(stage) in stages.DRAWN or stages.is_first_latents(stage)
    return figures.drawn if drawn else figures.network


def limit(stage: str, dtype: str, carried: float, *, proven: bool) -> Limit:
    """What a stage may differ by.

    `carried`: the largest relative error among the stages that it is made from. `proven`: all of these are equal bit
    for bit, and what makes this stage has given equal bits before; then nothing is left to explain a difference.
    """
    if proven:
        return Limit(0.0, "the same arithmetic gave equal bits before")
    figures = tolerances().dtypes.get(dtype)
    if figures is None:
        return Limit(0.0, f"{dtype} is exact")
    error, name = explained(stage, dtype), SHORT[dtype]
    if not carried:
        return Limit(error, f"{name} rounding explains {number(error)}")
    value = max(error, min(error + tolerances().gain * carried, figures.most))
    return Limit(value, f"{name} rounding and what came in explain {number(value)}")
