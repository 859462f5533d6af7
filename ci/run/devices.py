"""Gives out the GPUs of the engine that runs the module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio


class Devices:
    """Gives each job the GPUs that it needs, all at once, so that two jobs never wait for each other.

    `parallel` jobs may run side by side; 0: as many as there are GPUs, one without any.
    """

    def __init__(self, numbers: Sequence[str], parallel: int = 0) -> None:
        self._free = list(numbers)
        self._slots = parallel or max(1, len(numbers))
        self._freed = anyio.Condition()

    @asynccontextmanager
    async def taken(self, count: int) -> AsyncIterator[list[str]]:
        """Wait for so many GPUs and a place, and have them while open: their numbers."""
        async with self._freed:
            while self._slots < 1 or len(self._free) < count:
                await self._freed.wait()
            self._slots -= 1
            numbers, self._free = self._free[:count], self._free[count:]
        try:
            yield numbers
        finally:
            async with self._freed:
                self._slots += 1
                self._free = sorted([*self._free, *numbers], key=int)
                self._freed.notify_all()
