"""What is known of a stage that differs, and whom to ask what makes it differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import stages
from .dtypes import finer
from .measures import Apart, precision, relative
from .tolerances import explained
from .trace import CaseTrace, Tensor

PROBES = 64  # elements that are looked at before all are


@dataclass(frozen=True)
class Difference:
    """A stage of one shape that differs beyond its limit, and the traces that it stands in."""

    stage: str
    reference: Tensor
    other: Tensor  # in the reference's layout
    apart: Apart
    traces: tuple[CaseTrace, CaseTrace]  # reference, other

    @cached_property
    def dtypes(self) -> tuple[str, str]:
        """The dtypes that the values were computed in: reference, other."""
        return precision(self.reference), precision(self.other)

    @cached_property
    def near(self) -> float:
        """The relative error up to which an explanation holds: what the coarser of the two dtypes rounds away.

        It must explain most of the difference, too.
        """
        coarser = self.dtypes[self.dtypes[0] == finer(self.dtypes)]
        rounding = max(explained(self.stage, coarser), explained(self.stage, "float32"))
        return min(rounding, self.apart.relative / 4)

    def holds(self, reference: Tensor, other: Tensor) -> bool:
        """Whether two tensors are the same but for rounding."""
        return reference.shape == other.shape and same(reference, other, self.near)

    def beside(self, name: str) -> Tensor | None:
        """A stage of the reference in the same loop, where the trace has it."""
        return self.traces[0].get(stages.beside(self.stage, name))


def same(reference: Tensor, other: Tensor, limit: float) -> bool:
    """Whether the relative error keeps a limit; a few elements mostly tell that it does not."""
    if reference.size > PROBES:
        at = tuple(np.random.default_rng(0).integers(0, size, PROBES) for size in reference.shape)
        if relative(reference[at], other[at]) > 8 * limit + 1e-12:
            return False
    return relative(reference, other) <= limit


def part(tensor: Tensor, axis: int, places: slice) -> Tensor:
    """What lies at these places along an axis."""
    return tensor[(slice(None),) * axis + (places,)]


@dataclass(frozen=True)
class Fit:
    """A tensor as a sum of others."""

    factors: tuple[float, ...]
    error: float  # relative


def fit(target: Tensor, columns: Sequence[Tensor]) -> Fit:
    """The factors with which the columns, and a constant as the last, come nearest to the target."""
    size = len(columns) + 1
    products, right = np.zeros((size, size)), np.zeros(size)
    for goal, matrix in _rows(target, columns):
        products += matrix @ matrix.T
        right += matrix @ goal
    factors = np.linalg.lstsq(products, right, rcond=None)[0] if np.isfinite(products).all() else np.full(size, np.nan)
    squared = whole = 0.0
    for goal, matrix in _rows(target, columns):
        rest = goal - factors @ matrix
        squared, whole = squared + float(rest @ rest), whole + float(goal @ goal)
    error = float(np.sqrt(squared / whole)) if whole else 0.0
    return Fit(tuple(map(float, factors)), error if np.isfinite(error) else float("inf"))


def _rows(target: Tensor, columns: Sequence[Tensor]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    flat, others = target.reshape(-1), [column.reshape(-1) for column in columns]
    for start in range(0, flat.size, 1 << 20):
        block = slice(start, start + (1 << 20))
        goal = flat[block].astype(np.float64)
        yield goal, np.stack([*(other[block].astype(np.float64) for other in others), np.ones_like(goal)])
