"""Saves finished cases in a thread, while the next one generates; a case is finished when it is in the store."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Self

from ..contract import Case

Save = Callable[[], None]
WAITING = 1  # generated cases that wait, beside the one that is being saved: each holds its frames in memory


class Saving:
    """A bounded queue of cases to save. `failed` gets a case whose saving raised, and what it raised."""

    def __init__(self, failed: Callable[[Case, Exception], None]) -> None:
        self._failed = failed
        self._queue: queue.Queue[tuple[Case, Save] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all is saved."""
        self._queue.put(None)
        self._thread.join()

    def put(self, case: Case, save: Save) -> None:
        """Have a case saved; waits while the queue is full."""
        self._queue.put((case, save))

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            case, save = item
            try:
                save()
            except Exception as error:  # noqa: BLE001  # as in the worker: it is that case's failure
                self._failed(case, error)
            del item, save  # the frames
