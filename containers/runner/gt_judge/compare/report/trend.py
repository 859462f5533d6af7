"""How the measures of a file went over the comparisons of a history: a small chart for each measure, drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..history import Entry
from ..result import CaseResult

WIDTH, HEIGHT, PAD = 240, 84, 6  # pixels of a chart; PAD keeps dots inside
MOST = 100  # comparisons that are drawn: the last ones
FEWEST = 2  # comparisons that make a trend
ROLES = ("published", "engine")

Points = list[tuple[int, float, str]]  # place in the history, value (infinite too), date


@dataclass(frozen=True)
class Line:
    """One measure against published GT, or of the serving engine's output."""

    role: str
    points: str  # of a polyline
    dots: str  # of a path: a line of no length at each point
    words: str
    limit: float | None  # where the bound stands: the engine's threshold, or the noise floor


@dataclass(frozen=True)
class Chart:
    """One measure."""

    title: str
    top: str
    bottom: str
    lines: list[Line]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Trend:
    """All measures of a file."""

    first: str  # dates
    last: str
    shown: int
    total: int
    charts: list[Chart]


def draw(entries: Sequence[Entry], case: CaseResult, titles: Mapping[str, str]) -> Trend | None:
    """The charts of a file; None where it was not compared before. `titles`: the measures, by name."""
    window = entries[-MOST:]
    if len(window) < FEWEST:
        return None
    bounds = {
        "published": case.floor.bounds() if case.floor else {},
        "engine": case.thresholds.bounds() if case.thresholds else {},
    }
    charts = [chart for name, title in titles.items() if (chart := _chart(name, title, window, bounds))]
    first, last = (f"{entry.date:%Y-%m-%d}" for entry in (window[0], window[-1]))
    return Trend(first, last, len(window), len(entries), charts)


def _chart(name: str, title: str, entries: Sequence[Entry], bounds: Mapping[str, Mapping[str, float]]) -> Chart | None:
    points_by_role = {role: points for role in ROLES if (points := list(_points(name, role, entries)))}
    limits = {role: bounds[role].get(name) for role in points_by_role}
    values = [value for points in points_by_role.values() for _, value, _ in points]
    finite = [value for value in [*values, *limits.values()] if value is not None and math.isfinite(value)]
    if not points_by_role:
        return None
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    infinite = not all(map(math.isfinite, values))
    lines = [_line(role, points, limits[role], (low, high), len(entries)) for role, points in points_by_role.items()]
    return Chart(title, "∞" if infinite else f"{high:.4g}", f"{low:.4g}" if finite else "", lines)


def _points(name: str, role: str, entries: Sequence[Entry]) -> Iterator[tuple[int, float, str]]:
    platform = next((entry.engine_gpu for entry in reversed(entries) if entry.engine), None)
    for place, entry in enumerate(entries):
        values = entry.published
        if role == "engine":  # what an engine made on another platform is another line
            values = entry.engine if entry.engine_gpu == platform else None
        if values is not None and name in values:
            value = values[name]
            yield place, math.inf if value is None else value, f"{entry.date:%Y-%m-%d}"


def _line(role: str, points: Points, limit: float | None, ends: tuple[float, float], count: int) -> Line:
    places = [(_x(place, count), _y(value, ends)) for place, value, _ in points]
    (_, first, start), (_, last, end) = points[0], points[-1]
    bound = "" if limit is None else f", {'threshold' if role == 'engine' else 'noise floor'} {limit:.4g}"
    return Line(
        role=role,
        points=" ".join(f"{x},{y}" for x, y in places),
        dots="".join(f"M{x} {y}h0" for x, y in places),
        words=f"{role}: {_text(first)} on {start}, {_text(last)} on {end}{bound}",
        limit=None if limit is None else _y(limit, ends),
    )


def _x(place: int, count: int) -> float:
    return round(PAD + place * (WIDTH - 2 * PAD) / (count - 1), 1)


def _y(value: float, ends: tuple[float, float]) -> float:
    """Where a value stands; what is infinite is at the top, and in the middle what never differs."""
    low, high = ends
    share = 1.0
    if math.isfinite(value):
        share = (value - low) / (high - low) if high > low else 0.5
    return round(HEIGHT - PAD - share * (HEIGHT - 2 * PAD), 1)


def _text(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "∞"
