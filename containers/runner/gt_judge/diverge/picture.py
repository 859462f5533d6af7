"""The difference over the stages of a run as an SVG, on a logarithmic axis."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..templates import template
from ..text import number
from . import stages
from .result import CaseResult, StageResult, Status

TEMPLATE = Path(__file__).with_name("picture.svg.j2")
LEFT, TOP, BOTTOM, HEIGHT = 110, 44, 320, 450  # pixels of the picture
APART = 16  # pixels between two stages
NARROWEST = 760
LEAST, MOST = -9, 1  # powers of ten of the axis
LABELLED = 60  # stages that all get their name; of more, some steps go without
EQUAL_ROW = 0.6  # decades below the axis, where what is equal lies


def draw(case: CaseResult) -> str:
    """The picture of a case."""
    low, high = _axis(case)
    marks = [_mark(stage, at, case, low, high) for at, stage in enumerate(case.stages)]
    return template(TEMPLATE).render(
        width=max(NARROWEST, LEFT + APART * (len(marks) + 2)),
        height=HEIGHT,
        left=LEFT,
        top=TOP,
        bottom=BOTTOM,
        title=f"{case.name}: {f'first differs at {case.first.name}' if case.first else 'no divergence'}",
        ticks=_ticks(low, high),
        ways=_ways(case, marks),
        marks=marks,
    )


def _axis(case: CaseResult) -> tuple[int, int]:
    """The powers of ten between which all errors and tolerances lie."""
    values = [stage.by for stage in case.stages] + [stage.limit and stage.limit.value for stage in case.stages]
    powers = [math.log10(value) for value in values if value and math.isfinite(value)]
    low = max(LEAST, math.floor(min(powers, default=-6)))
    return low, min(MOST, max(low + 2, math.ceil(max(powers, default=-3))))


def _y(value: float, low: int, high: int) -> float:
    """Where a value stands; zero below the axis, what is beyond it at its end."""
    power = low - EQUAL_ROW if value <= 0 else min(max(math.log10(value), low), high) if math.isfinite(value) else high
    return round(BOTTOM - (power - low + EQUAL_ROW) * (BOTTOM - TOP) / (high - low + EQUAL_ROW), 1)


def _ticks(low: int, high: int) -> list[dict[str, Any]]:
    powers = [{"y": _y(10.0**power, low, high), "label": f"1e{power}"} for power in range(low, high + 1)]
    return [{"y": _y(0, low, high), "label": "equal"}, *powers]


def _mark(stage: StageResult, at: int, case: CaseResult, low: int, high: int) -> dict[str, Any]:
    first, total = stage is case.first, len(case.stages)
    value = stage.by if stage.by is not None else 0.0 if not stage.compared else math.inf
    kind = "none" if not stage.compared else "bad" if first or stage.status == Status.DIFFERS else "fine"
    if stage.apart is not None and stage.apart.lost:
        value = math.inf
    step = stages.step(stage.name)
    every = math.ceil(total / LABELLED)
    by = f", {number(stage.by)}" if stage.by is not None else ""
    limit = stage.limit.value if stage.limit is not None else 0.0
    return {
        "x": LEFT + APART * (at + 1),
        "y": _y(value, low, high),
        "limit": _y(limit, low, high) if limit else None,
        "kind": kind,
        "first": first,
        "label": stage.name if first or step is None or step % every == 0 else "",
        "words": f"{stage.name}: {stage.note or stage.status.value}{by}",
    }


def _ways(case: CaseResult, marks: list[dict[str, Any]]) -> list[str]:
    """A line through the latents, and one through the model's outputs, of each loop."""
    ways: dict[tuple[int, str], list[str]] = {}
    for stage, mark in zip(case.stages, marks, strict=True):
        if stage.compared and stages.family(stage.name) in stages.LOOPED:
            key = (stages.loop(stage.name), stages.family(stage.name))
            ways.setdefault(key, []).append(f"{mark['x']},{mark['y']}")
    return [" ".join(points) for points in ways.values()]
