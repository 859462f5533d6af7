"""The worker processes of a run: those at work, and those that import while their GPUs have other work."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from pathlib import Path

from ..contract import Job, served
from .process import Child
from .session import worker

Cards = tuple[str, ...]


class Processes:
    """At most one waits for its task on the same GPUs. `folder` is where their logs go.

    Not safe for several threads by itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs = count()
        self._working: set[Child] = set()
        self._waiting: dict[Cards, tuple[str, Child]] = {}  # and the source that each imports

    @property
    def all(self) -> list[Child]:
        """Those at work, and those that wait."""
        return [*self._working, *(child for _, child in self._waiting.values())]

    @property
    def waiting(self) -> dict[Cards, str]:
        """The GPUs that one waits for, and the source that it imports."""
        return {cards: source for cards, (source, _) in self._waiting.items()}

    def prepare(self, job: Job, cards: Cards) -> None:
        """Start one that imports what the job's cases need, and then waits."""
        self._waiting[cards] = job["source"], self._started(job, cards)

    def allow(self, cards: Cards, room: bool) -> None:
        """Tell the one that waits for these GPUs whether there is room for its context."""
        self._waiting[cards][1].send(room)

    def take(self, job: Job, cards: Cards) -> Child:
        """One for cases of the job: the one that waits for these GPUs, where it has imported the source."""
        source, child = self._waiting.pop(cards, ("", None))
        if child is not None and (source != job["source"] or served(job) or child.over):
            child.end()
            child = None
        if child is None:
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
        for cards in [each for each in self._waiting if not set(each).isdisjoint(names)]:
            self._waiting.pop(cards)[1].end()

    def _started(self, job: Job, cards: Cards) -> Child:
        return worker(job, cards, self._folder / f"worker-{next(self._logs)}.log")
