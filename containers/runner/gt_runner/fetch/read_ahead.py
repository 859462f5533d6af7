"""Brings weights into the page cache while the imports run, or while another model generates."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from ..job import Fetched

_BLOCK = 16 * 1024 * 1024  # large enough for a network disk, small enough to stop within a moment

logger = logging.getLogger(__name__)


def read_ahead(fetched: Fetched, stop: threading.Event | None = None) -> int:
    """Read every weight file once, in order, until `stop` is set; returns the bytes read.

    Only a help: a file that cannot be read is left to the loader, which says so.
    """
    stop = stop or threading.Event()
    block = memoryview(bytearray(_BLOCK))
    total = 0
    for path in _files(fetched):
        if stop.is_set():
            break
        try:
            total += _read(path, block, stop)
        except OSError as error:
            logger.debug("cannot read ahead: %s", error)
    return total


def _files(fetched: Fetched) -> list[Path]:
    """The files that the case needs, the model's first; those that are links to one blob once."""
    found = [
        Path(repository["path"], name).resolve()
        for repository in fetched["repositories"].values()
        for name in repository.get("files", [])
    ]
    return list(dict.fromkeys(found))


def _read(path: Path, block: memoryview, stop: threading.Event) -> int:
    total = 0
    with path.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):  # Linux: doubles the kernel's own read-ahead
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while not stop.is_set() and (count := file.readinto(block)):
            total += count
    return total
