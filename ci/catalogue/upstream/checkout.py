"""Reads files of a git checkout: those that lie there, and those of an earlier commit, from its history."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from .. import bounded
from .texts import ReadFile

MOST_BYTES = 4 * 2**20


def files(checkout: Path) -> ReadFile:
    """The files that lie in a checkout."""

    def read(path: PurePosixPath) -> bytes | None:
        try:
            return bounded.content(checkout / path, MOST_BYTES)
        except ValueError:
            return None

    return read


def history(checkout: Path, ref: str) -> ReadFile | None:
    """The files of an earlier commit; None where the checkout does not hold it."""
    # Imported here: it takes longer than all else that `gt` does before its first word.
    from dulwich.errors import NotGitRepository  # noqa: PLC0415
    from dulwich.object_store import tree_lookup_path  # noqa: PLC0415
    from dulwich.objects import Blob  # noqa: PLC0415
    from dulwich.objectspec import parse_commit  # noqa: PLC0415
    from dulwich.repo import Repo  # noqa: PLC0415

    try:
        repo = Repo(str(checkout))
        tree = parse_commit(repo, ref.encode()).tree
    except (NotGitRepository, KeyError, ValueError, OSError):
        return None

    def read(path: PurePosixPath) -> bytes | None:
        try:
            entry = repo[tree_lookup_path(repo.__getitem__, tree, str(path).encode())[1]]
        except (KeyError, OSError):  # a partial clone lacks files
            return None
        return entry.data if isinstance(entry, Blob) else None

    return read
