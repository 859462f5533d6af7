"""What each GPU of a run did when, as spans; how busy it was, and the floor that a run can reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
        start, end = self._working(card)
        calls = sum(span.end - span.start for span in self.calls(card))
        return calls / (end - start) if calls else 0.0

    def kernels(self, card: str) -> float | None:
        """The share of that time with a kernel on the card, as the driver says; None where there is no sample."""
        start, end = self._working(card)
        percent = [share for at, share in self.samples.get(card, []) if start <= at <= end]
        return sum(percent) / len(percent) / 100 if percent else None

    def calls(self, card: str) -> list[Span]:
        """Of a card."""
        return [span for span in self.spans if span.card == card and span.phase == "generate"]

    def _working(self, card: str) -> tuple[float, float]:
        calls = self.calls(card)
        return min((span.start for span in calls), default=0.0), max((span.end for span in calls), default=0.0)


def timeline(wall: float, events: Events, samples: Iterable[Sequence[float]] = ()) -> Timeline:
    """Put a run's events together.

    A phase lasts until its case's next one on the same GPU. A process loads with one case in mind, and may be given
    another: its load ends with an event of its own.
    """
    phases: dict[tuple[str, str], tuple[str, float]] = {}  # by case and GPU: a phase, and since when
    spans = []

    def end(keys: Iterable[tuple[str, str]], at: float) -> None:
        for case, card in list(keys):
            phase, start = phases.pop((case, card))
            spans.append(Span(card, case, phase, start, at))

    for at, event in events:
        case = str(event.get("case"))
        card = str(event.get("card", CPU))
        if event["event"] in ("done", "failed"):
            loads = event.get("phase") == "load"
            end((key for key, (phase, _) in phases.items() if key[0] == case and loads == (phase == "load")), at)
        elif event["event"] in ("phase", "loaded"):
            end({(case, card)} & phases.keys(), at)
        if event["event"] == "phase":
            phases[case, card] = event["phase"], at
    sampled: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for at, number, percent, *_ in samples:
        sampled[str(int(number))].append((at, percent))
    return Timeline(wall, spans, dict(sampled))


@dataclass(frozen=True)
class Floor:
    """Seconds that a run can reach: the first read, then the longer of the other reads and the calls, over the cards.

    One disk that two cards wait for does not read twice as fast: cold and with few calls, even this is out of reach.
    """

    first_read: float
    other_reads: float
    calls: float
    cards: int

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.first_read + max(self.other_reads, self.calls) / self.cards


def floor(run: Timeline, bytes_of_models: Sequence[int], rate: float) -> Floor:
    """Of a run whose models have so many bytes, the first one first, read at `rate` bytes a second."""
    first, *others = (size / rate for size in bytes_of_models)
    return Floor(first, sum(others), run.seconds("generate"), len(run.cards))
