"""The same values in another layout: axes permuted, flattened, packed into tokens or unpacked.

A layout is a view of the reference with its axes split, a permutation of these, and the other's shape. All that are
plausible are tried on a few elements, and those that fit on all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from .measures import relative
from .trace import Tensor

PATCH = 2  # pixels a side that all known models pack into one token
MOST_AXES = 6  # of a view, without those of length one: 720 permutations
PROBES = 64  # elements that are looked at first
LETTERS = "abcdefghij"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How the other's tensor lies, seen from the reference."""

    view: Shape  # of the reference
    order: tuple[int, ...]  # of the view's axes
    reference: Shape
    other: Shape

    def undo(self, other: Tensor) -> Tensor:
        """The other's values in the reference's layout."""
        permuted = other.reshape([self.view[axis] for axis in self.order])
        return permuted.transpose(np.argsort(self.order)).reshape(self.reference)

    def fits(self, reference: Shape, other: Shape) -> bool:
        """Whether it is one for tensors of these shapes."""
        return (reference, other) == (self.reference, self.other)

    @property
    def changes_rank(self) -> bool:
        """Whether the number of axes (but for those of length one) differs, which no pipeline takes by mistake."""
        return len(_long(self.reference)) != len(_long(self.other))

    @property
    def trivial(self) -> bool:
        """Whether no element has another place: only the shape is another."""
        return list(self.order) == sorted(self.order)

    @property
    def words(self) -> str:
        """The layout for a person, in the notation of einops where it has one."""
        if self.trivial:
            return f"of the shape {list(self.other)} instead of {list(self.reference)}"
        names = dict(zip(range(len(self.view)), LETTERS, strict=False))
        before = _pattern([(names[axis], size) for axis, size in enumerate(self.view)], self.reference)
        after = _pattern([(names[axis], self.view[axis]) for axis in self.order], self.other)
        kind = "packed in another order" if len(self.view) > max(len(self.reference), len(self.other)) else "permuted"
        if len(_long(self.other)) != len(_long(self.reference)):
            kind = "packed" if len(_long(self.other)) < len(_long(self.reference)) else "unpacked"
        return f"{kind} ({before} -> {after})" if before and after else kind


def find(reference: Tensor, other: Tensor, limit: float) -> Layout | None:
    """The layout in which the other holds the reference's values, up to a relative error; None where there is none."""
    if reference.size != other.size:
        return None
    if reference.shape != other.shape and _long(reference.shape) == _long(other.shape):
        long = _long(reference.shape)
        return Layout(long, tuple(range(len(long))), reference.shape, other.shape)
    if not _varied(reference):
        return None
    positions = np.unique(np.random.default_rng(0).integers(0, other.size, PROBES))
    values, flat = other.reshape(-1)[positions].astype(np.float64), reference.reshape(-1)
    slack = 4 * limit * (np.abs(values) + math.sqrt(float(np.mean(values * values))))
    for layout in _all_candidates(reference.shape, other.shape):
        sources = flat[_sources(layout, positions)].astype(np.float64)
        if (np.abs(sources - values) <= slack).all() and relative(reference, layout.undo(other)) <= limit:
            return layout
    return None


def _all_candidates(reference: Shape, other: Shape) -> Iterator[Layout]:
    """Those that split the reference's axes, then those that split the other's."""
    yield from _candidates(reference, other)
    for back in _candidates(other, reference) if reference != other else ():
        view = tuple(back.view[axis] for axis in back.order)
        yield Layout(view, tuple(int(axis) for axis in np.argsort(back.order)), reference, other)


def _candidates(reference: Shape, other: Shape) -> Iterator[Layout]:
    """Every layout that is plausible, the simple ones first."""
    for view in dict.fromkeys(_views(reference)):
        if len(view) > MOST_AXES:
            continue
        for order in permutations(range(len(view))):
            if reference != other or list(order) != sorted(order):
                yield Layout(view, order, reference, other)


def _views(shape: Shape) -> Iterator[Shape]:
    long = _long(shape)
    yield long
    yield from _patches(long)
    if len(long) >= 2:  # noqa: PLR2004  # tokens and channels, as packed latents have them
        *batch, tokens, channels = long
        sides = [(height, tokens // height) for height in range(1, tokens + 1) if tokens % height == 0]
        for height, width in sides:
            yield (*batch, *_long((height, width)), channels)
        if channels % PATCH**2 == 0:
            for (height, width), deep in product(sides, ((channels // 4, 2, 2), (2, 2, channels // 4))):
                yield _long((*batch, height, width, *deep))


def _patches(long: Shape) -> Iterator[Shape]:
    """Height and width, the last or the last but one two axes, split into patches."""
    for at in (len(long) - 2, len(long) - 3):
        if at >= 0 and long[at] % PATCH == 0 and long[at + 1] % PATCH == 0:
            yield _long((*long[:at], long[at] // PATCH, PATCH, long[at + 1] // PATCH, PATCH, *long[at + 2 :]))


def _long(shape: Sequence[int]) -> Shape:
    """Without the axes of length one, which say nothing."""
    return tuple(size for size in shape if size != 1)


def _sources(layout: Layout, positions: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where in the flat reference the elements at these flat positions of the other come from."""
    permuted = np.unravel_index(positions, [layout.view[axis] for axis in layout.order])
    axes = [permuted[layout.order.index(axis)] for axis in range(len(layout.view))]
    return np.asarray(np.ravel_multi_index(axes, layout.view))


def _varied(tensor: Tensor) -> bool:
    """Whether there are values to tell layouts by: those of a constant lie well in any."""
    some = tensor.reshape(-1)[: PROBES * PROBES]
    return len(np.unique(some)) > PROBES // 8


def _pattern(axes: Sequence[tuple[str, int]], shape: Shape) -> str:
    """One side of an einops pattern; empty where the axes cannot be grouped into the shape."""
    words, rest = [], list(axes)
    for size in shape:
        group, count = [], 1
        while count < size and rest:
            name, length = rest.pop(0)
            group.append(name)
            count *= length
        if count != size:
            return ""
        words.append(group[0] if len(group) == 1 else f"({' '.join(group)})" if group else "1")
    return "" if rest else " ".join(words)
