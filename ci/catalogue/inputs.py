"""Looks at the inputs that lie on this machine: whether each is the image file that its case names."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .fields import Input
from .model import Case

MOST_BYTES = 256 * 2**20
# First bytes of the formats that are taken; a WebP file is a RIFF file of that kind.
PNG, JPEG, RIFF, WEBP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"WEBP"


Seen = dict[Path, tuple[str, str]]  # what is wrong with a file, and the sha256 of one that is right


def mistakes(inputs: Sequence[Input], folder: Path, seen: Seen) -> Iterator[tuple[str, str]]:
    """The key of each input that is not as its case says, below `inputs`, and what was expected there.

    `folder` is that of the case file; `seen` holds the files that were read before, since cases share them. Inputs by
    URL are looked at when they are fetched.
    """
    for position, entry in enumerate(inputs):
        if entry.path is None:
            continue
        place = folder / entry.path
        if place not in seen:
            seen[place] = _file(folder, entry.path)
        problem, digest = seen[place]
        if problem:
            yield f"{position}.path", f"expected an image file; {entry.path} {problem}"
        elif entry.sha256 not in (None, digest):
            yield f"{position}.sha256", f"expected {digest}, which is the sha256 of {entry.path}"


def obstacles(cases: Iterable[Case]) -> list[str]:
    """A line for each input of these cases that lies on this machine and is not as its case says."""
    seen: Seen = {}
    return [
        f"{case.id}: inputs.{key}: {expected}"
        for case in cases
        for key, expected in mistakes(case.inputs, case.file.parent, seen)
    ]


def _file(folder: Path, path: str) -> tuple[str, str]:
    place = folder
    try:
        for part in path.split("/"):
            place /= part
            if place.is_symlink():
                return "is a link or lies behind one, and a copy of the case files would not hold it", ""
        problem = _unfit(place)
        if problem:
            return problem, ""
        with place.open("rb") as file:
            start = file.read(12)
            if not (start.startswith((PNG, JPEG)) or (start.startswith(RIFF) and start[8:] == WEBP)):
                return "is no PNG, JPEG or WebP", ""
            file.seek(0)
            return "", hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return f"is not in {folder}", ""
    except OSError as error:
        return f"cannot be read ({error.strerror})", ""


def _unfit(place: Path) -> str:
    """Why a file is not even opened: a pipe would wait, and a device never ends."""
    status = place.stat()
    if stat.S_ISDIR(status.st_mode):
        return "is a folder"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_size == 0:
        return "is empty"
    return f"is larger than {MOST_BYTES >> 20} MiB" if status.st_size > MOST_BYTES else ""
