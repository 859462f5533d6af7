"""Draws what each GPU of a run did when.

    uv run python -m bench.timeline several.json PICTURE.svg [RUN …]

`several.json` is what bench.several has written; RUN names one of its runs (default: all). The picture's format is
that of its name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt  # the backend comes first

from .spans import CPU, Timeline, timeline

mpl.rcParams["svg.hashsalt"] = "bench"  # the same picture each time
mpl.rcParams["svg.fonttype"] = "none"  # text that can be searched
COLOURS = {"load": "#d98b2b", "generate": "#2b6cb0", "save": "#79b473"}
SAMPLES = "#666666"


def draw(runs: Mapping[str, Timeline], path: Path) -> None:
    """A row for each GPU of each run: phases above, thin where the GPU computes; what nvidia-smi saw below them."""
    rows = [(name, card, run) for name, run in runs.items() for card in run.cards]
    figure, axes = plt.subplots(figsize=(12, 1.2 + 0.8 * len(rows)), layout="constrained")
    for place, (_, card, run) in enumerate(rows):
        for span in (span for span in run.spans if span.card == card):
            beside = span.phase != "generate" and any(call.start < span.end <= call.end for call in run.calls(card))
            height, below = (0.16, 0.26) if beside or span.phase == "save" else (0.4, 0.0)
            long, colour = span.end - span.start, COLOURS[span.phase]
            axes.barh(place + below, long, height, left=span.start, color=colour, edgecolor="white", linewidth=0.5)
        samples = run.samples.get(card, [])
        if samples:
            times, percent = zip(*samples, strict=True)
            base = place - 0.25
            axes.fill_between(times, base, [base - 0.2 * each / 100 for each in percent], color=SAMPLES, linewidth=0)
        axes.text(run.wall, place, f" {run.wall:.1f} s, busy {run.busy(card):.0%}", va="center")
    for phase, colour in COLOURS.items():
        axes.barh(0, 0, color=colour, label=phase)
    axes.barh(0, 0, color=SAMPLES, label="kernels, by nvidia-smi")
    axes.set_yticks(range(len(rows)), [f"{name}, {card if card == CPU else f'GPU {card}'}" for name, card, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max((run.wall for run in runs.values()), default=1.0))  # with room for what is said
    axes.set(xlabel="seconds since the start of the command")
    figure.legend(ncols=4, frameon=False, loc="outside lower center")
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def read(path: Path) -> dict[str, Timeline]:
    """The runs that bench.several has written down, by name; none that failed."""
    runs = {run["name"]: run for run in json.loads(path.read_text())["runs"] if not run["error"]}
    return {name: timeline(run["wall"], run["events"], run["samples"]) for name, run in runs.items()}


def main() -> None:
    """Draw the runs that the command line names."""
    parser = argparse.ArgumentParser(prog="bench.timeline", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("measured", type=Path, help="several.json")
    parser.add_argument("picture", type=Path, help="to be written: .svg or .png")
    parser.add_argument("runs", nargs="*", help="names of runs (default: all)")
    options = parser.parse_args()
    runs = read(options.measured)
    draw({name: runs[name] for name in options.runs or runs}, options.picture)


if __name__ == "__main__":
    main()
