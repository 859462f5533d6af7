"""What each GPU of a run did when: a picture, how much of the time it was busy, and the floor that a run can reach.

    python -m bench.timeline RUN.json PICTURE.png

RUN.json holds `wall` (seconds), `events` (pairs of seconds since the start and an event of the runner) and `samples` of
nvidia-smi (seconds, GPU, percent of the time that a kernel ran).
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt  # the backend comes first

COLOURS = {"load": "#d98b2b", "generate": "#2b6cb0", "save": "#79b473"}
CPU = "CPU"  # the row of a run without GPUs
Events = Sequence[tuple[float, Mapping[str, Any]]]


@dataclass(frozen=True)
class Span:
    """One phase of one case, in seconds since the run's start."""

    card: str
    case: str
    phase: str
    start: float
    end: float


@dataclass(frozen=True)
class Timeline:
    """The spans of a run, and samples of each GPU: (seconds, percent of the time that a kernel ran)."""

    wall: float
    spans: list[Span]
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def cards(self) -> list[str]:
        """Those that did something, by number."""
        return sorted({span.card for span in self.spans}, key=lambda card: (len(card), card))

    def seconds(self, phase: str) -> float:
        """Of all cases together."""
        return sum(span.end - span.start for span in self.spans if span.phase == phase)

    def busy(self, card: str) -> float:
        """The share of the time from the end of the card's first load to its last call's end that it computed."""
        calls = [span for span in self.spans if span.card == card and span.phase == "generate"]
        if not calls:
            return 0.0
        start, end = min(span.start for span in calls), max(span.end for span in calls)
        return sum(span.end - span.start for span in calls) / (end - start)


def timeline(wall: float, events: Events, samples: Iterable[Sequence[float]] = ()) -> Timeline:
    """Put a run's events together.

    A phase lasts until its case's next one. The first call of a process begins when its load ends.
    """
    begun: dict[str, tuple[str, str, float]] = {}  # by case: its phase, the GPU, and since when
    spans = []
    for at, event in events:
        case = str(event.get("case"))
        if event["event"] in ("phase", "done", "failed") and case in begun:
            phase, card, start = begun.pop(case)
            spans.append(Span(card, case, phase, start, at))
        if event["event"] == "phase":
            card = str(event.get("card", CPU))
            spans += [Span(where, loading, "load", start, at) for loading, where, start in _ended(begun, card, event)]
            begun[case] = event["phase"], card, at
    sampled: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for at, number, percent, *_ in samples:
        sampled[str(int(number))].append((at, percent))
    return Timeline(wall, spans, dict(sampled))


def _ended(
    begun: dict[str, tuple[str, str, float]], card: str, event: Mapping[str, Any]
) -> Iterable[tuple[str, str, float]]:
    """Loads that end because another case begins on the GPU: the case that a model was loaded for went elsewhere."""
    if event["phase"] != "generate":
        return
    for case, (phase, where, start) in list(begun.items()):
        if phase == "load" and where == card:
            del begun[case]
            yield case, where, start


@dataclass(frozen=True)
class Floor:
    """Seconds that a run cannot be below: the first read, then the longer of the other reads and the calls."""

    first_read: float
    other_reads: float
    calls: float
    cards: int

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.first_read + max(self.other_reads, self.calls / self.cards)


def floor(run: Timeline, bytes_of_models: Sequence[int], rate: float) -> Floor:
    """Of a run whose models have so many bytes, the first one first, read at `rate` bytes a second."""
    first, *others = (size / rate for size in bytes_of_models)
    return Floor(first, sum(others), run.seconds("generate"), len(run.cards))


def draw(runs: Mapping[str, Timeline], path: Path) -> None:
    """A row for each GPU of each run: phases above, what nvidia-smi saw below them; as PNG."""
    rows = [(name, card, run) for name, run in runs.items() for card in run.cards]
    figure, axes = plt.subplots(figsize=(12, 1.2 + 0.8 * len(rows)), layout="constrained")
    for place, (_, card, run) in enumerate(rows):
        for span in (span for span in run.spans if span.card == card):
            height, below = (0.16, 0.26) if span.phase == "save" else (0.4, 0.0)
            axes.barh(place + below, span.end - span.start, height, left=span.start, color=COLOURS[span.phase])
        seen = run.samples.get(card, [])
        if seen:
            times, percent = zip(*seen, strict=True)
            base = place - 0.25
            axes.fill_between(times, base, [base - 0.2 * each / 100 for each in percent], color="#666666", linewidth=0)
        axes.text(run.wall, place, f" {run.wall:.1f} s, busy {run.busy(card):.0%}", va="center")
    for phase, colour in COLOURS.items():
        axes.barh(0, 0, color=colour, label=phase)
    axes.barh(0, 0, color="#666666", label="kernels, by nvidia-smi")
    axes.set_yticks(range(len(rows)), [f"{name}, {card if card == CPU else f'GPU {card}'}" for name, card, _ in rows])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="seconds since the start of the command")
    axes.legend(ncols=4, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def read(path: Path) -> Timeline:
    """A run that was written down."""
    written = json.loads(path.read_text())
    return timeline(written["wall"], written["events"], written.get("samples", []))


def main() -> None:
    """Draw the runs of the command line into the picture that it ends with."""
    *files, picture = map(Path, sys.argv[1:])
    runs = {path.stem: read(path) for path in files}
    draw(runs, picture)
    for name, run in runs.items():
        busy = {card: round(run.busy(card), 3) for card in run.cards}
        print(json.dumps({"run": name, "wall": run.wall, "busy": busy, "calls": round(run.seconds("generate"), 2)}))


if __name__ == "__main__":
    main()
