"""Looks at the inputs that lie on this machine: whether each is the image file that its case names."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from .model import Case

MOST_BYTES = 256 * 2**20
# First bytes of the formats that are taken; a WebP file is a RIFF file of that kind.
PNG, JPEG, RIFF, WEBP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"WEBP"


# What is wrong with a file, and the sha256 of one that is right; by whether tensors are expected in it.
Cache = dict[tuple[Path, bool], tuple[str, str]]


def mistakes(case: Case, cache: Cache) -> Iterator[tuple[str, str]]:
    """The key of each input of a case that is not as the case says, and what was expected there.

    `cache` holds the files that were read before, since cases share them. Inputs by URL are looked at when they are
    fetched.
    """
    for position, entry in enumerate(case.inputs):
        if entry.path is not None:
            yield from _mistakes(case, (f"inputs.{position}", "path", entry.path), entry.sha256, cache)
    if case.latents is not None and case.latents.file is not None:
        yield from _mistakes(case, ("latents", "file", case.latents.file), case.latents.sha256, cache)


def _mistakes(case: Case, field: tuple[str, str, str], sha256: str | None, cache: Cache) -> Iterator[tuple[str, str]]:
    above, key, path = field
    tensors = key == "file"
    place = case.file.parent / path
    if (place, tensors) not in cache:
        cache[place, tensors] = _file(case.file.parent, path, tensors=tensors)
    problem, digest = cache[place, tensors]
    if problem:
        yield f"{above}.{key}", f"expected {'a safetensors' if tensors else 'an image'} file; {path} {problem}"
    elif sha256 not in (None, digest):
        yield f"{above}.sha256", f"expected {digest}, which is the sha256 of {path}"


def obstacles(cases: Iterable[Case]) -> list[str]:
    """A line for each input of these cases that lies on this machine and is not as its case says."""
    cache: Cache = {}
    return [f"{case.id}: {key}: {expected}" for case in cases for key, expected in mistakes(case, cache)]


def _file(folder: Path, path: str, *, tensors: bool) -> tuple[str, str]:
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
            if problem := _unlike(start, tensors=tensors):
                return problem, ""
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


def _unlike(start: bytes, *, tensors: bool) -> str:
    """What tells by its first 12 bytes that a file is of another kind."""
    if tensors:
        return "" if start[8:9] == b"{" else "is none"  # a header of JSON, after its length
    image = start.startswith((PNG, JPEG)) or (start.startswith(RIFF) and start[8:] == WEBP)
    return "" if image else "is no PNG, JPEG or WebP"
