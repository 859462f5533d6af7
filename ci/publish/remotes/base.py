"""The data repository that GT is published to: what its branch holds now, and a commit on top of just that."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol

from ...catalogue.fields import relative_path
from ...errors import PublishError

CONNECT = 10  # seconds for a connection
PASSING = frozenset({408, 425, 429, *range(500, 600)})  # HTTP statuses of a server that may answer later


@dataclass(frozen=True)
class Entry:
    """What lies in a folder, as git has it: a file, a folder, a link or a submodule."""

    mode: int
    id: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file: the others are not read, and never replaced."""
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True)
class Head:
    """The branch as the server has it."""

    commit: str | None  # None: the repository is empty
    new: bool  # the branch is not there; a commit makes it, on top of the default branch
    entries: Mapping[str, Entry]  # by path: what lies below the folders that were asked for, but for folders

    @cached_property
    def files(self) -> dict[str, str]:
        """Their git ids by path."""
        return {path: entry.id for path, entry in self.entries.items()}


@dataclass(frozen=True)
class Author:
    """Who commits, and when: fixed, so that a commit that is tried again on the same head is the same commit."""

    name: str = "diffusion-gt"
    email: str = "diffusion-gt@localhost"
    when: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


@dataclass(frozen=True)
class Right:
    """What a token must allow, and the variable that it is read from: in the words of a message."""

    word: str
    variable: str


WRITE, READ = Right("write", "GT_PUBLISH_TOKEN"), Right("read", "GT_FETCH_TOKEN")


class MovedError(Exception):
    """The branch is not where it was when it was looked at: somebody else was faster."""


class CommitRefusedError(PublishError):
    """The server does not take the commit, in its own words: the branch is where it was, and asking again is no use."""


class PassingError(Exception):
    """The server gave no answer, or asks to be asked later."""

    def __init__(self, message: str, pause: float | None = None, *, reached: bool = True) -> None:
        super().__init__(message)
        self.pause = pause  # seconds that the server asked for
        self.reached = reached  # False: nothing answers there at all


class Remote(Protocol):
    """A server that holds the data repository. All of it raises PublishError where trying again is no use."""

    @property
    def branch(self) -> str:
        """The branch's name; the default branch's, once `head` was called, where none was asked for."""

    def check_access(self) -> None:
        """Raises PublishError unless the server lets this user write. Writes nothing. Raises PassingError."""

    def head(self, folders: Collection[str]) -> Head:
        """Ask the server. Raises PassingError."""

    def read(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The content of blobs that the last `head` named. Raises PassingError."""

    def make(self, on: Head, changes: Mapping[str, bytes | None], message: str) -> str:
        """Make a commit on top of `on`, where no branch has it yet; None removes a file. Raises PassingError."""

    def advance(self, on: Head, commit: str) -> None:
        """Let the branch go from `on` to the commit that was made, or not at all.

        Raises MovedError or CommitRefusedError where the server did not do it, PassingError where nobody knows.
        """

    def propose(self, base: str, title: str, text: str) -> str | None:
        """Open the request to merge the branch into `base`, or find it open: its address; None where that is no way.

        Raises PassingError.
        """

    def holds(self, commit: str) -> bool:
        """Whether the branch's history, as `head` saw it last, holds a commit made since the first `head`."""


def check_folder(entry: Entry, name: str, path: str) -> None:
    """Raises PublishError where what has this name, on the way to a path, is no folder."""
    if not entry.is_folder:
        kind = "file" if entry.is_file else "link or a submodule"
        raise PublishError(f"{path}: {name} is a {kind} in the data repository, not a folder; choose another directory")


def check_new(branch: str, branches: Iterable[str]) -> None:
    """Raises PublishError for a branch that cannot be made beside these: git keeps them as files in folders."""
    for other in branches:
        if branch.startswith(f"{other}/") or other.startswith(f"{branch}/"):
            raise PublishError(
                f"branch {branch} cannot be made beside branch {other}: one would be a folder of the other's name; "
                "name another one with --branch"
            )


def seconds(header: str | None) -> float | None:
    """The pause that a Retry-After header asks for; None where it names none, or a date."""
    return float(header) if header is not None and header.isdecimal() and header.isascii() else None


def blob_id(content: bytes) -> str:
    """The id that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def parts_of(path: str) -> tuple[str, ...]:
    """The folders and the name of a file that is written. Raises PublishError for what no checkout could hold."""
    try:
        return tuple(relative_path(path).split("/"))
    except ValueError as error:
        raise PublishError(f"{path!r} is not written to the data repository: expected {error}") from None
