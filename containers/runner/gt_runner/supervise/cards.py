"""The GPUs of this machine: a lock for each, which all runs on the machine see, and what is wrong with one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ..environment import nvidia_smi
from ..tasks import Card, Run

LOCKS = Path("/tmp/diffusion-gt-gpus")  # noqa: S108  # one place for all users, whatever their TMPDIR is
IDLE_S = 30.0  # after which a GPU that has nothing to do goes back to other runs
FOREIGN_MB = 2048  # MiB in use on a card that names no process, above which it counts as taken; a driver holds some


class Cards:
    """The cards that a run may use. A card that is taken is locked until it is released, or this process ends.

    Not safe for several threads by itself.
    """

    def __init__(self, cards: Sequence[Card], *, locked: bool) -> None:
        self._cards = {card["id"]: card for card in cards}
        self._locked = locked
        self._locks: dict[str, int | None] = {}  # of the cards that are ours now
        self._in_use: set[str] = set()
        self._since: dict[str, float] = {}  # when a card of ours was last put to use, or became ours
        self._left_out: set[str] = set()

    @classmethod
    def of(cls, run: Run) -> Cards:
        """Those that the run names; else those that this process sees, for which the caller answers."""
        if "cards" in run:
            return cls(run["cards"], locked=True)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        most = max((job["gpus"] for job in run["jobs"] if job["device"] == "cuda"), default=0)
        ids = visible.split(",")[:most] if visible else [str(number) for number in range(most)]
        return cls([{"id": name} for name in ids], locked=False)

    @property
    def usable(self) -> list[str]:
        """All but those that are left out."""
        return [name for name in self._cards if name not in self._left_out]

    @property
    def idle(self) -> list[str]:
        """Those that nobody in this run uses."""
        return [name for name in self.usable if name not in self._in_use]

    def name(self, ids: Iterable[str]) -> str | None:
        """Cards as people know them, such as `0` or `0,1`; None where they have no number."""
        numbers = [self._cards[name].get("number") for name in ids]
        return ",".join(filter(None, numbers)) or None

    def memory_gb(self, ids: Iterable[str]) -> float:
        """Of the smallest of these cards, in 1e9 bytes; 0 where it is not known."""
        return min((self._cards[name].get("memory_gb", 0.0) for name in ids), default=0.0)

    def take(self, count: int, never: Collection[str] = (), first: Sequence[str] = ()) -> tuple[str, ...] | None:
        """So many idle cards, locked, those in `first` before others; None where there are too few that are free.

        None is locked then that was not: two runs that wait for two cards each would hold one each, for ever.
        """
        order = [*(name for name in first if name in self.idle), *(name for name in self.idle if name not in first)]
        choice: list[str] = []
        ours = set(self._locks)
        for name in order:
            if len(choice) < count and name not in never and self.lock(name):
                choice.append(name)
        if len(choice) < count:
            self.release(set(choice) - ours)
            return None
        self._in_use.update(choice)
        return tuple(choice)

    def give_back(self, ids: Collection[str]) -> None:
        """They are idle from now on, and stay ours until they are released."""
        self._in_use.difference_update(ids)
        self._since.update(dict.fromkeys(ids, time.monotonic()))

    def idle_for_long(self, name: str) -> bool:
        """Whether nobody in this run has used an idle card for long."""
        now = time.monotonic()
        return now - self._since.get(name, now) > IDLE_S

    def lock(self, name: str) -> bool:
        """Whether a card is ours now, and no other run's."""
        if name in self._locks or not self._locked:
            return True
        lock = _opened(name)
        try:
            if lock is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            assert lock is not None  # noqa: S101  # for the type checker
            os.close(lock)
            return False
        self._locks[name] = lock
        self._since.setdefault(name, time.monotonic())
        return True

    def release(self, names: Iterable[str]) -> None:
        """Let other runs have these cards."""
        for name in names:
            lock = self._locks.pop(name, None)
            if lock is not None:
                os.close(lock)

    def leave_out(self, name: str) -> bool:
        """Use a card no more; False where it is the last one."""
        if self.usable == [name]:
            return False
        self._left_out.add(name)
        return True


def _opened(name: str) -> int | None:
    """The lock file of a card; None where there can be none: the card is then not shared, but used."""
    path = LOCKS / name
    with contextlib.suppress(OSError):
        LOCKS.mkdir(exist_ok=True)
        LOCKS.chmod(0o1777)
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # another user's file can be locked, but not be created anew
        with contextlib.suppress(OSError):
            return os.open(path, flags, 0o666)
    return None


def troubles(names: Iterable[str]) -> Mapping[str, str]:
    """Why each card is no good now: another process holds memory of it, or the driver does not know it any more.

    Empty where there is no driver to ask. The caller's own processes on these cards have ended.
    """
    cards = set(names)
    memory_of = {cells[0]: cells[1] for cells in _rows(nvidia_smi("uuid,memory.used"), 2)}
    if not memory_of:
        return {}
    reasons = dict.fromkeys(cards - memory_of.keys(), "the driver does not answer for it")
    for uuid, process, memory in _rows(nvidia_smi("gpu_uuid,pid,used_memory", apps=True), 3):
        if uuid in cards:
            size = f"{_gb(memory)} GB" if memory.isdigit() else "memory"
            reasons.setdefault(uuid, f"process {process} holds {size} of it")
    for uuid in cards & memory_of.keys():
        memory = memory_of[uuid]
        if not memory.isdigit():
            reasons.setdefault(uuid, f"the driver says {memory!r} of it")
        elif int(memory) > FOREIGN_MB:
            reasons.setdefault(uuid, f"{_gb(memory)} GB of its memory are in use")
    return reasons


def _gb(mebibytes: str) -> str:
    return f"{int(mebibytes) * 2**20 / 1e9:.1f}"


def _rows(lines: Iterable[str], cells: int) -> list[list[str]]:
    """The lines with so many cells; nvidia-smi may print others, such as that it found nothing."""
    rows = [[cell.strip() for cell in line.split(",")] for line in lines]
    return [row for row in rows if len(row) == cells]
