"""Draws the figures of one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt  # the backend comes first

if TYPE_CHECKING:
    from .__main__ import Report
    from .generation import Generation
    from .planning import Growth
    from .runs import Run

UNDER: dict[str, Any] = {"frameon": False, "loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}
PARTS = (("imports and the rest", "#b8b8b8"), ("load", "#d98b2b"), ("calls", "#2b6cb0"))


def draw(report: Report, path: Path) -> None:
    """Where the time goes, how fast weights load, how planning grows; as PNG."""
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(15, 4.2), width_ratios=(2.2, 1, 1), layout="constrained"
    )
    machine = report.machine
    where = machine.gpu if machine.device == "cuda" else f"CPU, {machine.cores} cores"
    figure.suptitle(f"{report.architecture}, {report.cases} cases of {report.steps} steps, on {where}, {report.date}")
    _runs(left, report.generation)
    _rates(middle, report.generation)
    _growth(right, report.planning.plan, "plan", "o-")
    _growth(right, report.planning.parse, "read and validate YAML", "s--")
    right.legend(**UNDER)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _runs(axes: Any, generation: Generation) -> None:
    bars: list[tuple[str, Run]] = []
    for place, each in enumerate(generation.rounds):
        bars += [(f"bare, {each.weights}", each.bare), (f"runner, {each.weights}", each.runner)]
        axes.vlines(each.floor_seconds, 2 * place + 0.5, 2 * place + 1.5, color="black", zorder=3)
    axes.plot([], [], color="black", label="floor")
    per_case = generation.per_case.run
    bars.append((f"runner, a process for each of {per_case.made} cases, warm", per_case))
    labels = [label for label, _ in bars]
    parts = [(run.own_seconds, sum(run.load_seconds), sum(run.call_seconds)) for _, run in bars]
    places, start = range(len(bars)), [0.0] * len(bars)
    for (name, colour), widths in zip(PARTS, zip(*parts, strict=True), strict=True):
        axes.barh(places, widths, left=start, color=colour, label=name)
        start = [before + width for before, width in zip(start, widths, strict=True)]
    for place, end in zip(places, start, strict=True):
        axes.text(end, place, f" {end:.1f}", va="center")
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(title="wall time by part", xlabel="seconds")
    axes.legend(ncols=4, **UNDER)


def _rates(axes: Any, generation: Generation) -> None:
    reading, rates = generation.reading, generation.load_rates
    bars = {
        "read": (reading.cold_gb_s, reading.warm_gb_s),
        "bare\nload": (rates.bare_cold, rates.bare_warm),
        "runner's\nload": (rates.runner_cold, rates.runner_warm),
    }
    for offset, state, colour in ((-0.2, "cold", "#2b6cb0"), (0.2, "warm", "#d98b2b")):
        heights = [pair[state == "warm"] for pair in bars.values()]
        patches = axes.bar([place + offset for place in range(len(bars))], heights, 0.38, color=colour, label=state)
        axes.bar_label(patches, fmt="%.3g")
    axes.set_xticks(range(len(bars)), bars)
    axes.margins(y=0.12)
    axes.set(title="weights", ylabel="GB/s")
    axes.legend(ncols=2, **UNDER)


def _growth(axes: Any, growth: Growth, label: str, style: str) -> None:
    axes.loglog(growth.cases, growth.seconds, style, label=f"{label}: exponent {growth.exponent:.2f}")
    axes.set(title="planning", xlabel="cases", ylabel="seconds")
    axes.grid(visible=True, alpha=0.3)
