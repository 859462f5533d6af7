"""Lock files under which one process at a time gets something; the others wait, and then find its work done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PATIENCE_S = 1.0  # a wait that is shorter is not worth a line

logger = logging.getLogger(__name__)


@contextmanager
def alone(lock_file: Path, doing: str) -> Iterator[None]:
    """While open, no other process does this. Who has to wait for another one says so, once; `doing`: `fetching X`."""
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        logger.warning("another process is %s; waiting for it", doing)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
