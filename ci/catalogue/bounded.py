"""Opens files that come from elsewhere: none that would hang or fill the memory."""

from __future__ import annotations

import stat
from pathlib import Path


def content(path: Path, longest: int) -> bytes:
    """The bytes of a regular file of 1 to `longest` bytes. Raises ValueError with what was expected of any other."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a pipe would wait for its writer
            raise ValueError("a regular file")
        with path.open("rb") as file:
            data = file.read(longest + 1)
    except OSError as error:
        raise ValueError(f"a file that can be read ({error.strerror})") from None
    if not 0 < len(data) <= longest:
        raise ValueError(f"a file of 1 byte to {longest >> 20} MiB")
    return data
