"""Goes through the stages of two traces of one case, in the order of the run, and measures each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from . import elsewhere, layouts, schedule, stages
from .dtypes import finer
from .layouts import Layout
from .measures import apart, precision
from .result import StageResult, Status
from .tolerances import Limit, explained, limit
from .trace import CaseTrace, Tensor


@dataclass(frozen=True)
class Options:
    """How strictly two traces are compared."""

    exact: bool = False  # every bit, dtype and layout
    dtype: str | None = None  # that both are taken to have computed in


@dataclass
class Walk:
    """What is known at a stage of those before it."""

    traces: tuple[CaseTrace, CaseTrace]  # reference, other
    options: Options
    layouts: dict[str, Layout] = field(default_factory=dict)  # of the other, by what has the same axes
    tolerated: dict[str, float] = field(default_factory=dict)  # relative errors of stages that count as the same
    equal: bool = True  # all stages so far, bit for bit
    proven: set[str] = field(default_factory=set)  # makers that have given equal bits
    diverged: bool = False

    def stages(self) -> Iterator[StageResult]:
        """Every stage of either trace."""
        reference, other = self.traces
        for name in sorted({*reference.shapes, *other.shapes}, key=stages.order):
            result = self._stage(name)
            self._remember(result)
            yield result

    def _stage(self, name: str) -> StageResult:
        reference, other = self.traces
        shapes = (reference.shapes.get(name), other.shapes.get(name))
        for trace, side, partner in ((other, "other", "reference"), (reference, "reference", "other")):
            if name not in trace:
                why = trace.why_absent(name, side)
                note = f"only in the {partner}{f': {why}' if why else ''}"
                return StageResult(name, Status.MISSING, shapes=shapes, note=note)
        ours, theirs = reference[name], other[name]
        result = StageResult(name, Status.DIFFERS, shapes=shapes, dtypes=(str(ours.dtype), str(theirs.dtype)))
        pair = self._aligned(result, ours, theirs)
        if pair is not None:
            self._measure(result, *pair)
        return result

    def _aligned(self, result: StageResult, ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor] | None:
        """The two in one shape; None, with a note, where there is none."""
        layout = self._known_layout(result.name, ours, theirs)
        if layout is not None:
            self._lay(result, layout)
            return ours, layout.undo(theirs)
        if ours.shape == theirs.shape:
            return ours, theirs
        if stages.family(result.name) in stages.SCHEDULE and ours.ndim == theirs.ndim == 1:
            result.note, harmless = schedule.lengths(result.name, ours, theirs)
            count = min(ours.size, theirs.size)
            return (ours[:count], theirs[:count]) if harmless and not self.options.exact else None
        result.note = self._other_shape(result.name, ours, theirs)
        return None

    def _known_layout(self, name: str, ours: Tensor, theirs: Tensor) -> Layout | None:
        axes = stages.axes_of(name)
        layout = self.layouts.get(axes)
        if layout is not None and layout.fits(ours.shape, theirs.shape):
            return layout
        if ours.shape == theirs.shape or ours.size != theirs.size:
            return None
        layout = layouts.find(ours, theirs, self._near(name, ours, theirs))
        if layout is not None:
            self.layouts[axes] = layout
        return layout

    def _lay(self, result: StageResult, layout: Layout) -> None:
        one, two = (trace.layout(result.name) for trace in self.traces)
        result.layout = layout.words
        result.on_purpose = layout.changes_rank or layout.trivial or bool(one and two and one != two)

    def _other_shape(self, name: str, ours: Tensor, theirs: Tensor) -> str:
        near = self._near(name, ours, theirs)
        return (
            elsewhere.equal_stage(name, theirs, self.traces[0], near)
            or elsewhere.batched(name, ours, theirs, self.traces, near)
            or elsewhere.cut(name, ours, theirs, near)
            or f"the shape {list(theirs.shape)} instead of {list(ours.shape)}"
        )

    def _measure(self, result: StageResult, ours: Tensor, theirs: Tensor) -> None:
        distance = result.apart = apart(ours, theirs)
        bound = result.limit = self._limit(result.name, ours, theirs)
        if any(distance.not_finite):
            result.note = _not_finite(distance.not_finite)
        if distance.lost:
            return
        if self.options.exact:
            same = distance.same and len(set(result.dtypes)) == 1
        else:
            same = distance.same or (distance.relative <= bound.value and distance.peak <= bound.peak)
        if same:
            result.status = Status.LAYOUT if result.layout else Status.EQUAL if distance.same else Status.WITHIN
        elif not self.diverged and not result.layout:
            self._find_silent_layout(result, ours, theirs)

    def _find_silent_layout(self, result: StageResult, ours: Tensor, theirs: Tensor) -> None:
        """Whether the values are the same in another layout of the same shape."""
        layout = layouts.find(ours, theirs, self._near(result.name, ours, theirs))
        if layout is not None:
            self.layouts[stages.axes_of(result.name)] = layout
            self._lay(result, layout)
            result.status, result.apart = Status.LAYOUT, apart(ours, layout.undo(theirs))

    def _limit(self, name: str, ours: Tensor, theirs: Tensor) -> Limit:
        if self.options.exact:
            return Limit(0.0, "every bit counts")
        carried = max((by for stage, by in self.tolerated.items() if stages.is_made_from(name, stage)), default=0.0)
        is_whole = all(stage in trace for stage in stages.inputs(name) for trace in self.traces)
        proven = is_whole and self.equal and stages.maker(name) in self.proven
        return limit(name, self._dtype(name, ours, theirs), carried, proven=proven)

    def _dtype(self, name: str, ours: Tensor, theirs: Tensor) -> str:
        """What both rounded to at least. A schedule is told by the dtype that it is written in."""
        floats = [tensor for tensor in (ours, theirs) if explained(name, str(tensor.dtype))]
        if not floats:
            return str(ours.dtype)
        if self.options.dtype is not None:
            return self.options.dtype
        schedule = stages.family(name) in stages.SCHEDULE
        return finer([str(tensor.dtype) if schedule else precision(tensor) for tensor in floats])

    def _near(self, name: str, ours: Tensor, theirs: Tensor) -> float:
        """Up to which relative error two tensors are taken for the same in another layout."""
        errors = [explained(name, precision(tensor)) for tensor in (ours, theirs)]
        return max(*errors, explained("model_output.0", "float32"))

    def _remember(self, result: StageResult) -> None:
        if not result.compared:
            return
        self.diverged |= result.status == Status.DIFFERS
        same = result.apart is not None and result.apart.same
        if same:
            self.proven.add(stages.maker(result.name))
        self.equal &= same
        if result.apart is not None and result.status != Status.DIFFERS:
            self.tolerated[result.name] = result.apart.relative


def _not_finite(counts: tuple[int, int]) -> str:
    words = [
        f"{count:,} value{'s' if count > 1 else ''} of the {side} {'are' if count > 1 else 'is'} NaN or infinite"
        for side, count in zip(("reference", "other"), counts, strict=True)
        if count
    ]
    return " and ".join(words)


def tensors(result: StageResult, walk: Walk) -> tuple[Tensor, Tensor] | None:
    """The two tensors of a stage in one shape, once more; None where there is none."""
    reference, other = (trace[result.name] for trace in walk.traces)
    layout = walk.layouts.get(stages.axes_of(result.name))
    if layout is not None and layout.fits(reference.shape, other.shape):
        other = layout.undo(other)
    return (reference, other) if reference.shape == np.shape(other) else None
