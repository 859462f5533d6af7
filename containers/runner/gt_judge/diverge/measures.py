"""How far two tensors of one shape are apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import COARSEST_FIRST, FLOATS
from .trace import Tensor

BLOCK = 1 << 20  # elements that are held in double precision at once
ENOUGH = 256  # elements that tell a dtype: a few may be representable by chance


@dataclass(frozen=True)
class Apart:
    """Other against reference, over the elements that are finite in both."""

    largest: float  # absolute difference
    mean: float  # absolute difference
    relative: float  # root of the sum of squared differences, by that of the squared reference
    peak: float  # largest difference of an element, by its own size and the root mean square of the reference
    cosine: float | None  # None: one of the two is all zeros
    psnr: float | None  # dB, with the reference's range as the peak; None: no difference
    equal: float  # share of the elements, 0..1; NaN equals NaN, and -0 is not 0
    not_finite: tuple[int, int]  # elements that are NaN or infinite: reference, other
    lost: int  # elements that are NaN or infinite in one of the two at least, and not equal

    def as_json(self) -> dict[str, Any]:
        """As JSON; what has no number is null."""
        return {
            "max_abs": _finite(self.largest),
            "mean_abs": _finite(self.mean),
            "relative": _finite(self.relative),
            "peak": _finite(self.peak),
            "cosine": _finite(self.cosine),
            "psnr": _finite(self.psnr),
            "equal": _finite(self.equal),
            "not_finite": {"reference": self.not_finite[0], "other": self.not_finite[1]},
        }

    @property
    def same(self) -> bool:
        """Whether every element is equal."""
        return self.equal == 1


def apart(reference: Tensor, other: Tensor) -> Apart:
    """Measure two tensors of one shape."""
    sums = np.zeros(5)  # squares of: difference, reference, other; their product; absolute difference
    largest = equal = count = 0.0
    lost = np.zeros(3, np.int64)  # elements that are not finite: of the reference, of the other, and not equal
    low, high = math.inf, -math.inf
    of_all = rms(reference)
    peak = 0.0
    for a, b in _blocks(reference, other):
        fine_a, fine_b = np.isfinite(a), np.isfinite(b)
        both, same = fine_a & fine_b, _same(a, b)
        equal += int(same.sum())
        lost += [(~fine_a).sum(), (~fine_b).sum(), (~both & ~same).sum()]
        a, b = a[both], b[both]  # noqa: PLW2901
        if not a.size:
            continue
        count += a.size
        difference = np.abs(b - a)
        sums += [difference @ difference, a @ a, b @ b, a @ b, difference.sum()]
        largest = max(largest, float(difference.max()))
        size = np.abs(a) + of_all
        peak = max(peak, float(np.divide(difference, size, out=np.zeros_like(size), where=size > 0).max()))
        low, high = min(low, float(a.min())), max(high, float(a.max()))
    squared, of_reference, of_other, product, absolute = map(float, sums)
    return Apart(
        largest=largest,
        mean=absolute / count if count else 0.0,
        relative=_ratio(squared, of_reference),
        peak=peak if of_reference else _ratio(squared, of_reference),
        cosine=product / math.sqrt(of_reference * of_other) if of_reference and of_other else None,
        psnr=20 * math.log10((high - low) / math.sqrt(squared / count)) if squared and high > low else None,
        equal=equal / reference.size if reference.size else 1.0,
        not_finite=(int(lost[0]), int(lost[1])),
        lost=int(lost[2]),
    )


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b)))


def relative(reference: Tensor, other: Tensor) -> float:
    """The relative error alone; infinite where one of the two is not finite throughout."""
    squared = of_reference = 0.0
    for a, b in _blocks(reference, other):
        difference = b - a
        squared, of_reference = squared + float(difference @ difference), of_reference + float(a @ a)
    error = _ratio(squared, of_reference)
    return error if math.isfinite(error) else math.inf


def precision(tensor: Tensor) -> str:
    """The coarsest dtype that holds all values: that of the computation, where a trace was written in a wider one."""
    dtype = str(tensor.dtype)
    if dtype not in ("float32", "float64") or tensor.size < ENOUGH:
        return dtype
    for name in COARSEST_FIRST[: COARSEST_FIRST.index(dtype)]:
        if all(_holds(name, block) for block in _halves(tensor)):
            return name
    return dtype


def _holds(name: str, block: Tensor) -> bool:
    with np.errstate(over="ignore"):
        return bool((block.astype(FLOATS[name]).astype(block.dtype) == block).all())


def _halves(tensor: Tensor) -> Iterator[Tensor]:
    flat = tensor.reshape(-1)
    yield from (flat[start : start + BLOCK] for start in range(0, flat.size, BLOCK))


def _blocks(reference: Tensor, other: Tensor) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    for a, b in zip(_halves(reference), _halves(other), strict=True):
        yield a.astype(np.float64), b.astype(np.float64)


def rms(tensor: Tensor) -> float:
    """The root mean square of the elements that are finite."""
    squares = count = 0.0
    for block in _halves(tensor):
        values = block.astype(np.float64)
        values = values[np.isfinite(values)]
        squares, count = squares + float(values @ values), count + values.size
    return math.sqrt(squares / count) if count else 0.0


def _ratio(squared: float, of_reference: float) -> float:
    if not squared:
        return 0.0
    return math.sqrt(squared / of_reference) if of_reference else math.inf


def _finite(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
