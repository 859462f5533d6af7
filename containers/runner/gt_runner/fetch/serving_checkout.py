"""The checkout of a serving engine: the caller gives it, and a result's key holds what it is."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..contract import Case
from ..errors import FetchError
from .folders import Folders
from .git import GitError, git
from .hub import identity
from .index import IndexedFile, digest, sha256_of

_CACHES = ("__pycache__", ".git")


def serving_checkout(case: Case, folders: Folders) -> tuple[str, str]:
    """Path and identity of the checkout that makes a native case. Raises FetchError where there is none."""
    serving, folder = case["engine"], folders.serving
    if folder is None or not folder.is_dir():
        raise FetchError(
            f"the serving engine's checkout is not here; name one of {serving['repo']} with `--engine DIR`"
        )
    start = serving.get("folder", ".")
    if not (folder / start).is_dir():
        raise FetchError(f"the serving engine's checkout has no folder {start}: is it one of {serving['repo']}?")
    return str(folder.absolute()), folders.serving_identity or identity_of(folder.resolve())


@functools.cache
def identity_of(folder: Path) -> str:
    """The commit of a git checkout that holds no change, as a repository's identity; else a digest of the files.

    Files that git ignores, and Python's caches, do not count. Raises FetchError where the folder cannot be read.
    """
    try:
        if not (folder / ".git").exists():
            return _content(folder, _walk(folder, Path()))
        if not git(folder, "status", "--porcelain"):
            return identity(git(folder, "rev-parse", "HEAD"))
        names = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        return _content(folder, (name for each in names.split("\0") if each for name in _walk(folder, Path(each))))
    except (GitError, OSError, UnicodeError) as error:
        raise FetchError(f"the serving engine's checkout cannot be read: {error}") from error


def _content(folder: Path, names: Iterable[Path]) -> str:
    return digest({name.as_posix(): _record(folder / name) for name in names if os.path.lexists(folder / name)})


def _record(path: Path) -> IndexedFile:
    if path.is_symlink():  # where it leads to is what it is; a loop or a dead end does no harm
        target = os.fsencode(path.readlink())
        return IndexedFile(len(target), hashlib.sha256(target).hexdigest())
    return IndexedFile(path.stat().st_size, sha256_of(path))


def _walk(folder: Path, name: Path) -> Iterator[Path]:
    """A file of the folder by its name, or all that are below that name: git lists a submodule as one entry."""
    if (folder / name).is_symlink() or not (folder / name).is_dir():
        yield name
        return
    for top, folders, files in os.walk(folder / name):
        folders[:] = [name for name in folders if name not in _CACHES]
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        yield from ((Path(top) / name).relative_to(folder) for name in [*files, *links])
