"""Keeps secrets and the folders of this machine out of logs and manifests."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

LOG_LINES = 40
LOG_BYTES = 1 << 18  # that these lines are looked for in: a serving engine may write gigabytes


def log_end(log: Path, hidden: Iterable[tuple[str, str]]) -> list[str]:
    """The last lines of a log, without the paths of this machine and without secrets."""
    try:
        with log.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - LOG_BYTES)
            file.seek(start)
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = scrub(text, hidden).splitlines()
    return lines[1:][-LOG_LINES:] if start else lines[-LOG_LINES:]  # of a first line that is cut, a secret may be left


def scrub(text: str, hidden: Iterable[tuple[str, str]]) -> str:
    """Replace each hidden text by its stand-in, the longest first."""
    for secret, stand_in in sorted(hidden, key=lambda pair: -len(pair[0])):
        if secret:
            text = text.replace(secret, stand_in)
    return text


def hidden(places: Iterable[tuple[str, Path]]) -> list[tuple[str, str]]:
    """What must not stand in a manifest: secrets of the environment, and the folders of this machine."""
    secrets = [(value, "***") for name, value in os.environ.items() if name.endswith(("TOKEN", "SECRET", "PASSWORD"))]
    folders = [
        *places,
        ("<python>", Path(sys.prefix)),
        ("<python>", Path(sys.base_prefix)),
        ("<runner>", Path(__file__).parents[1]),
        ("<here>", Path.cwd()),
        ("<home>", Path.home()),
        ("<temporary>", Path(tempfile.gettempdir())),
    ]
    return [*secrets, *((str(path), stand_in) for stand_in, path in folders if len(str(path)) > 1)]
