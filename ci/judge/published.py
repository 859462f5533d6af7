"""Published GT at its address: a directory, or one folder of a git repository, written URL#REF:PATH."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..artifact.manifest import NAME
from ..errors import GtError


@contextmanager
def at_hand(address: str | None) -> Iterator[Path | None]:
    """The folder at an address, or None where no address is given; what git fetched is removed at the end.

    Raises GtError where nothing is there.
    """
    url, is_git, place = (address or "").partition("#")
    if not address or Path(address).is_dir():
        yield Path(address) if address else None
    elif not is_git:
        raise GtError(f"{address} is no directory; a git repository is written as URL#REF:PATH")
    else:
        ref, _, path = place.removesuffix(f"/{NAME}").partition(":")
        where = str(Path(url).resolve()) if Path(url).is_dir() else url  # git runs in another folder
        with tempfile.TemporaryDirectory(prefix="gt-published-") as folder:
            yield _fetched(where, ref or "HEAD", path.strip("/"), folder)


def _fetched(url: str, ref: str, path: str, folder: str) -> Path:
    """By the runner, which has git's settings and tries again what may pass."""
    command = [sys.executable, "-m", "gt_runner", "folder", "--", url, ref, path, folder]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise GtError(answer.stderr.strip() or f"{url} cannot be fetched: exit status {answer.returncode}")
    return Path(folder, path)
