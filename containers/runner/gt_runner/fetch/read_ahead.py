"""Brings weights into the page cache while the imports run, or while another model generates."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from ..contract import Fetched
from ..environment import memory

_BLOCK = 16 * 1024 * 1024  # large enough for a network disk
_APART = 1024 * 1024  # between two looks at the page cache

logger = logging.getLogger(__name__)


def half_of_memory(size: int) -> int:
    """How much of so many bytes may be read ahead by a job that is alone on this machine."""
    return min(size, memory() // 2)


def size_of(fetched: Iterable[Fetched]) -> int:
    """Bytes of all weight files."""
    with contextlib.suppress(OSError):
        return sum(path.stat().st_size for path in _files(fetched))
    return 0


def read_ahead(fetched: Iterable[Fetched], limit: int) -> int:
    """Read every weight file once, in order, until so many bytes are in memory; returns how many are.

    What is in memory already is not read again: 34 GB of copying would slow down the imports that run meanwhile.
    A file that cannot be read is no error here: the loader will report it.
    """
    block = memoryview(bytearray(_BLOCK))
    total = 0
    for path in _files(fetched):
        try:
            total += _read(path, block, limit - total)
        except OSError as error:
            logger.debug("cannot read ahead: %s", error)
    return total


def _files(fetched: Iterable[Fetched]) -> list[Path]:
    """The files that the cases need, a case's model first; those that are links to one blob once."""
    files = [
        Path(repository["path"], name).resolve()
        for each in fetched
        for repository in each["repositories"].values()
        for name in repository.get("files", [])
    ]
    return list(dict.fromkeys(files))


def _read(path: Path, block: memoryview, limit: int) -> int:
    if limit <= 0:
        return 0
    with path.open("rb", buffering=0) as file:
        total = file.seek(_cached(file.fileno()))
        if hasattr(os, "posix_fadvise"):  # Linux: doubles the kernel's own read-ahead
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while total < limit and (count := file.readinto(block)):
            total += count
    return total


def _cached(descriptor: int) -> int:
    """How much of a file, from its start, is in the page cache, by a look at one byte of each `_APART`; 0 if unknown.

    All behind the first gap counts as not there: what the kernel reads ahead for us would look like it, and to jump
    over that would end its reading ahead.
    """
    if not hasattr(os, "RWF_NOWAIT"):  # Linux only
        return 0
    size, place, byte = os.fstat(descriptor).st_size, 0, [bytearray(1)]
    with contextlib.suppress(OSError):  # EAGAIN: it would have to be read; EOPNOTSUPP: this file system cannot say
        while place < size and os.preadv(descriptor, byte, place, os.RWF_NOWAIT):
            place += _APART
    return size if place >= size else max(0, place - _APART)
