"""An index of a repository's files, kept beside them so that gigabytes are hashed once, and not in every run."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import FetchError
from .alone import alone

_VERSION = 1
_BLOCK = 4 * 1024 * 1024


@dataclass(frozen=True)
class IndexedFile:
    """One file of a repository."""

    size: int
    sha256: str | None = None  # taken here, once; None: not yet
    mtime_ns: int | None = None  # of a file in a local folder, when its sha256 was taken
    lfs_sha256: str | None = None  # as the hub lists it, for large files
    git_oid: str | None = None  # as the hub lists it, for small files


class Index:
    """A JSON file of records: `beside` the files where that is writable, else in our cache."""

    def __init__(self, beside: Path, cache: Path) -> None:
        place = hashlib.sha256(os.fsencode(beside.absolute())).hexdigest()[:32]
        self._beside = beside
        self._path = beside if os.access(existing(beside.parent), os.W_OK) else cache / "indexes" / f"{place}.json"
        self._saving = threading.Lock()

    def load(self) -> dict[str, IndexedFile]:
        """The records by file name; empty where there are none, or none that this version can read."""
        return _read(self._path) or _read(self._beside)

    def save(self, records: Mapping[str, IndexedFile]) -> None:
        """Replace the file in one step. Threads may call it at once."""
        with self._saving:
            files = {name: _compact(records[name]) for name in sorted(records)}
            replace_text(self._path, json.dumps({"version": _VERSION, "files": files}, indent=1))

    def alone(self, doing: str) -> AbstractContextManager[None]:
        """For the one process that downloads or hashes the files; see `alone`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return alone(self._path.with_name(f"{self._path.name}.lock"), doing)


def digest(records: Mapping[str, IndexedFile]) -> str:
    """`sha256:` of the sorted lines "name, NUL, size, NUL, sha256, newline"."""
    lines = (f"{name}\0{records[name].size}\0{records[name].sha256}\n" for name in sorted(records))
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def matching(names: Iterable[str], patterns: list[str] | None) -> list[str]:
    """The names that match a glob pattern (None: all); as in huggingface_hub, `folder/` means all that is in it."""
    if patterns is None:
        return list(names)
    globs = [f"{pattern}*" if pattern.endswith("/") else pattern for pattern in patterns]
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]


def select(names: Iterable[str], patterns: list[str] | None, repo: str) -> list[str]:
    """The names that `patterns` ask for, sorted.

    Raises FetchError where nothing matches, or where a name without wildcards is not there.
    """
    present = sorted(names)
    exact = (name for name in patterns or [] if not set(name) & set("*?[") and not name.endswith("/"))
    if missing := [name for name in exact if name not in present]:
        raise FetchError(f"{repo} has no {', '.join(missing)}; check the case's `files`")
    matches = matching(present, patterns)
    if not matches:
        lack = "no files" if patterns is None else f"nothing that matches {', '.join(patterns)}"
        raise FetchError(f"{repo} has {lack}; check the case's `repo` and `files`")
    return matches


def verify(path: Path, name: str, listed: IndexedFile, done: Callable[[int], None]) -> IndexedFile:
    """The record with the sha256 of the file at `path`; `done` is told the bytes read so far.

    Raises FetchError where the file is not what the hub lists.
    """
    size = path.stat().st_size
    if size != listed.size:
        raise FetchError(f"{name} has {size} bytes where the hub lists {listed.size}")
    sha256 = sha256_of(path, done)
    if listed.lfs_sha256 not in (None, sha256):
        raise FetchError(f"{name} has sha256 {sha256} where the hub lists {listed.lfs_sha256}")
    if listed.lfs_sha256 is None and listed.git_oid not in (None, _git_oid(path.read_bytes())):
        raise FetchError(f"{name} is not the git object {listed.git_oid} that the hub lists")
    return replace(listed, sha256=sha256)


def sha256_of(path: Path, done: Callable[[int], None] = lambda _: None) -> str:
    """The sha256 of a file as hex; `done` is told the bytes read so far, and may raise to stop."""
    sha256, total, block = hashlib.sha256(), 0, memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            sha256.update(block[:count])
            total += count
            done(total)
    return sha256.hexdigest()


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that readers see the old one or the new one, whatever is killed when."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _compact(record: IndexedFile) -> dict[str, object]:
    return {key: value for key, value in asdict(record).items() if value is not None}


def _read(path: Path) -> dict[str, IndexedFile]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        files = data["files"] if data["version"] == _VERSION else {}
        return {name: IndexedFile(**record) for name, record in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # the files are there all the same: they are hashed once more
