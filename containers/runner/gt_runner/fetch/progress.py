"""Work on several files at once: reports its progress, and stops within a block of data when one file fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Self

Progress = Callable[[str, int, int], None]  # (what, bytes done, bytes in all)


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody reads."""


class StoppedError(Exception):
    """This file's work was called off because another's failed, or because of Ctrl-C."""


class Meter:
    """Adds up the bytes of several files and passes them on, one call at a time."""

    def __init__(self, what: str, total: int, progress: Progress) -> None:
        self._what = what
        self._total = total
        self._progress = progress
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make every thread that reports from now on raise StoppedError."""
        self._stopped.set()

    def at(self, name: str, done: int) -> None:
        """`done` bytes of file `name` are there. Raises StoppedError when the work was called off."""
        if self._stopped.is_set():
            raise StoppedError(name)
        with self._lock:
            self._done[name] = done
            self._progress(self._what, sum(self._done.values()), self._total)

    def bar(self, name: str) -> type[Any]:
        """A class that huggingface_hub takes for a tqdm: the methods are those of its own `_AggregatedTqdm`."""
        at = self.at

        class Bar:
            def __init__(self, *_args: object, initial: int = 0, **_options: object) -> None:
                self._done = initial

            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_error: object) -> None:
                return None

            def update(self, n: float | None = 1) -> None:
                self._done += int(n or 0)
                at(name, self._done)

            def update_transfer(self, n: float | None = 1) -> None:
                """Bytes on the wire; what counts here is bytes on disk."""

            def set_postfix_str(self, *_args: object, **_options: object) -> None:
                """A rate, for people; not shown."""

            set_transfer_postfix_str = set_postfix_str

            def close(self) -> None:
                """Nothing is open."""

        return Bar


def in_parallel(action: Callable[[str], None], names: Iterable[str], stop: Callable[[], None], threads: int) -> None:
    """Run `action` for every name. The first error, or Ctrl-C, is raised once `stop` has made the other threads end."""
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(action, name) for name in names]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
