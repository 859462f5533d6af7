"""The worker processes of a run: those at work, and those that import while their GPUs have other work."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ..contract import Job, served
from .process import Child
from .session import worker

Cards = tuple[str, ...]


@dataclass(frozen=True)
class Spare:
    """A process that imports a source, and then waits for its task."""

    source: str
    child: Child


class Processes:
    """At most one waits for its task on the same GPUs. `folder` is where their logs go.

    Not safe for several threads by itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs = count()
        self._working: set[Child] = set()
        self.spares: dict[Cards, Spare] = {}  # by the GPUs that they wait for

    @property
    def all(self) -> list[Child]:
        """Those at work, and those that wait."""
        return [*self._working, *(spare.child for spare in self.spares.values())]

    def prepare(self, job: Job, cards: Cards) -> None:
        """Start one that imports what the job's cases need, and then waits."""
        self.spares[cards] = Spare(job["source"], self._started(job, cards))

    def allow(self, cards: Cards, room: bool) -> None:
        """Tell the one that waits for these GPUs whether there is room for its context."""
        self.spares[cards].child.send(room)

    def take(self, job: Job, cards: Cards) -> Child:
        """One for cases of the job: the one that waits for these GPUs, where it has imported the source."""
        spare = self.spares.pop(cards, None)
        if spare is not None and spare.source == job["source"] and not served(job) and not spare.child.over:
            child = spare.child
        else:
            if spare is not None:
                spare.child.end()
            child = self._started(job, cards)
            if not served(job):
                child.send(bool(cards))
        self._working.add(child)
        return child

    def ended(self, child: Child) -> None:
        """One that was at work is no more."""
        self._working.discard(child)

    def drop(self, names: Collection[str]) -> None:
        """End those that wait for one of these GPUs."""
        for cards in [each for each in self.spares if not set(each).isdisjoint(names)]:
            self.spares.pop(cards).child.end()

    def _started(self, job: Job, cards: Cards) -> Child:
        return worker(job, cards, self._folder / f"worker-{next(self._logs)}.log")
