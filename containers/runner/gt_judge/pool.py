"""The same work for many images, on all cores that this process may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

FEW = 8  # items that are not worth a process of their own

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results, in order."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores == 1 or len(items) <= FEW:
        return [work(item) for item in items]
    with ProcessPoolExecutor(cores) as executor:
        return list(executor.map(work, items, chunksize=max(1, len(items) // (cores * 8))))
