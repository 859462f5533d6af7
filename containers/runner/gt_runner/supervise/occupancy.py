"""What is on the GPUs of a run: sessions at work, processes that wait, and whether there is room for more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..contract import Prepared
from ..environment import available_memory, cores
from .cards import Cards
from .processes import Processes
from .running import Running
from .work import Work

SPARE_GB = 3.0  # of GPU memory beside what cases need, for the context of the next process
SPARE_HOST = 4e9  # bytes of memory beside which the next process may import what it needs: that takes 1 to 2 GB


class Occupancy:
    """Not safe for several threads by itself."""

    def __init__(self, cards: Cards, processes: Processes) -> None:
        self._cards, self._processes = cards, processes
        self.sessions: list[Running] = []
        self.alone: set[str] = set()  # GPUs on which nothing is loaded any more behind a session that is at work
        self.inquiries: set[str] = set()  # GPUs that the driver is asked about: nothing of ours may be there

    def shared(self, cards: Sequence[str]) -> bool:
        """Whether a session on these GPUs waits there for another one to end."""
        return bool(cards) and sum(each.cards == cards for each in self.sessions) > 1

    def room(self, cards: tuple[str, ...], *works: Work) -> bool:
        """Whether another process may use these GPUs beside what is there: for a context, or for these jobs."""
        works = (*works, *(each.work for each in self.sessions if each.cards == cards))
        fits = not works or sum(map(_vram_gb, works)) + SPARE_GB <= self._cards.memory_gb(cards)
        return bool(cards) and self.inquiries.isdisjoint(cards) and fits

    def host_room(self, size: float = 0) -> bool:
        """Whether another process may import what it needs, and load so many bytes."""
        return available_memory() > SPARE_HOST + size

    def cpu_room(self, work: Work) -> bool:
        """Whether another process may work on the CPU, where each uses one core."""
        sessions = [each for each in self.sessions if not each.cards]
        loading = SPARE_HOST * sum(not each.loaded for each in sessions)  # bytes that these have not taken yet
        return not sessions or (len(sessions) < cores() and self.host_room(loading + work.bytes))

    def ahead(self, work: Work) -> tuple[Running, Prepared] | None:
        """A session at the last case of its job, and a case whose model may be loaded behind it by now."""
        for before in self.sessions:
            model = work.model_for(before.cards)
            if model is not None and self._may_follow(work, before):
                return before, model
        return None

    def _may_follow(self, work: Work, before: Running) -> bool:
        cards, spare = before.cards, self._processes.spares.get(before.cards)
        return (
            len(cards) == work.cards
            and before.at_last_case
            and not self.shared(cards)
            and self.alone.isdisjoint(cards)
            and spare is not None
            and spare.source == work.job["source"]
            and self.room(cards, work)
            and self.host_room(work.bytes)
        )

    def slot(self, work: Work) -> tuple[str, ...] | None:
        """GPUs for which a process of this job may be prepared: none waits for them yet.

        Idle ones come first, then those whose session has taken its job's last case. A job that nobody has begun, or of
        which more is left, may also come next on GPUs that are at work on theirs: to import takes longer than a short
        call, so its process starts as soon as a model is loaded there.
        """
        sessions = [
            each for each in self.sessions if not self.shared(each.cards) and self.inquiries.isdisjoint(each.cards)
        ]
        cpu = [] if any(not each.cards for each in sessions) else [()]
        idle = [(name,) for name in self._cards.idle if not self._cards.idle_for_long(name) and self._cards.lock(name)]
        ending = [each.cards for each in sessions if not each.work.waiting]
        busy = [
            each.cards
            for each in sessions
            if each.cards and each.loaded and each.work.waiting
            if not work.begun or each.work.minutes < work.minutes
        ]
        slots = [*cpu, *idle, *ending, *busy]
        spares = self._processes.spares
        return next((cards for cards in slots if len(cards) == work.cards and cards not in spares), None)


def _vram_gb(work: Work) -> float:
    """GPU memory that any case of a job needs; infinite where one does not say."""
    return max(float(case["needs"].get("vram_gb", math.inf)) for case in work.job["cases"])
