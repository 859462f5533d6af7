"""The same work for many images, on all cores that this process may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from .errors import JudgeError

FEW = 8  # items that are not worth a process of their own

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results, in order. Raises JudgeError where a process of the pool is killed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores == 1 or len(items) <= FEW:
        return [work(item) for item in items]
    try:
        with ProcessPoolExecutor(cores) as executor:
            return list(executor.map(work, items, chunksize=max(1, len(items) // (cores * 8))))
    except BrokenProcessPool:
        raise JudgeError("a process of the judge was killed, most likely for want of memory; free some") from None
