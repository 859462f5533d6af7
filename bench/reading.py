"""The plain sequential read of the weights: what no way of loading them can beat."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 16 * 1024 * 1024


@dataclass(frozen=True)
class Reading:
    """Seconds for all files once, one after the other, with and without the page cache; rates in GB/s (1e9 bytes)."""

    weights_bytes: int
    cold_seconds: float
    warm_seconds: float
    cold_gb_s: float
    warm_gb_s: float


def weight_files(folder: Path) -> list[Path]:
    """The weights of a model's folder. Raises FileNotFoundError where it has none."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no weights (*.safetensors)")
    return files


def forget(files: Sequence[Path]) -> None:
    """Drop the files from the page cache, where the system lets us (Linux; not on a disk that is memory)."""
    os.sync()  # pages that are not on the disk yet are not dropped
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(files: Sequence[Path]) -> Reading:
    """Read the files cold, then warm."""
    size = sum(path.stat().st_size for path in files)
    forget(files)
    (_, cold), (_, warm) = _read(files), _read(files)
    return Reading(size, round(cold, 4), round(warm, 4), rate(size, cold), rate(size, warm))


def plain(files: Sequence[Path], size: int) -> float:
    """GB/s of reading so many bytes once, or all there are, one file after the other."""
    return rate(*_read(files, size))


def rate(size: int, seconds: float) -> float:
    """GB/s (1e9 bytes)."""
    return round(size / seconds / 1e9, 3)


def _read(files: Sequence[Path], limit: float = math.inf) -> tuple[int, float]:
    """Returns how many bytes were read, and in how many seconds."""
    block, total = memoryview(bytearray(_BLOCK)), 0
    started = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while total < limit and (count := file.readinto(block)):
                total += count
    return total, time.perf_counter() - started
