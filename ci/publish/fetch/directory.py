"""The directory that tests read: what lies there, and how it becomes what the lock says, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...artifact import manifest as manifests
from ...artifact.folder import check_writable
from ...errors import FetchError, reading, writing
from ..remotes.base import blob_id
from .choice import KINDS, is_image

Contents = Mapping[str, Callable[[], bytes]]  # of the files to write, by name

_PARTIAL = ".gt-fetch-"
_ABANDONED = 3600  # seconds after which what a killed run left is removed


@dataclass(frozen=True)
class Digests:
    """What a file's content is known by."""

    sha256: str
    blob: str

    @classmethod
    def of(cls, content: bytes) -> Digests:
        """Those of a content."""
        return cls(hashlib.sha256(content).hexdigest(), blob_id(content))


def files(directory: Path) -> dict[str, Digests]:
    """The GT that lies in a directory: its images, and its manifest.

    Raises FetchError where a file cannot be read, or the folder of a GPU kind holds images: readers look there first.
    """
    if not directory.is_dir():
        return {}
    digests: dict[str, Digests] = {}
    with reading(directory, FetchError):
        paths = sorted(directory.iterdir())
    for path in paths:
        if path.is_dir() and path.name in KINDS and any(is_image(each.name) for each in path.iterdir()):
            raise FetchError(f"{path} holds images, and readers look there first; move it away")
        if path.is_file() and _is_ours(path.name):
            with reading(path, FetchError):
                digests[path.name] = Digests.of(path.read_bytes())
    return digests


def check(directory: Path, names: Iterable[str]) -> None:
    """Raises ArtifactError or FetchError where these files could not be written."""
    check_writable(directory)
    for name in names:
        if (directory / name).is_dir():
            raise FetchError(f"{directory / name} is a folder; move it away, or choose another directory with -o")


def put(directory: Path, contents: Contents, stale: Collection[str], lock: tuple[Path, str] | None = None) -> None:
    """Write files and a lock, and remove what is stale. Nothing changes before everything is on the disk.

    A run that is killed in between leaves whole files and the lock of before, so the next one sees what is to do.
    """
    with writing(directory, FetchError):
        directory.mkdir(parents=True, exist_ok=True)
        _tidy(directory)
        with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=directory) as folder, _written(lock):
            for name, content in contents.items():
                _write(Path(folder, name), content())
            for name in contents:
                Path(folder, name).replace(directory / name)
        for name in stale:
            (directory / name).unlink(missing_ok=True)


@contextmanager
def _written(new: tuple[Path, str] | None) -> Iterator[None]:
    """Write a lock beside itself, and let it take its place at the end."""
    if new is None:
        yield
        return
    lock, text = new
    partial = lock.with_name(f".{lock.name}.{os.getpid()}.partial")
    try:
        with writing(lock, FetchError, "choose another one with --lock-file"):
            lock.parent.mkdir(parents=True, exist_ok=True)
            _write(partial, text.encode())
        yield
        partial.replace(lock)
    finally:
        partial.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _tidy(directory: Path) -> None:
    for path in directory.glob(f"{_PARTIAL}*"):
        if time.time() - path.stat().st_mtime > _ABANDONED:
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(name: str) -> bool:
    return is_image(name) or name == manifests.NAME
