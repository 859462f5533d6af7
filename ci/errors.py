"""The errors that a user can cause or meet. Each message says what is wrong and what to do next; `gt` exits with 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .words import counted

MOST_SHOWN = 30  # words in one message


class GtError(Exception):
    """The base of all errors here: bad input, or a machine that cannot do what was asked. Nothing has been started."""

    status = 2  # with which `gt` exits


class SelectionError(GtError):
    """A group, an id or a GPU kind that is unknown, contradictory or leaves nothing to run."""


class HostError(GtError):
    """No host here can run what was selected."""


class ImageError(GtError):
    """A runner image that cannot be named or built."""


class PreflightError(GtError):
    """All reasons why a run cannot start, raised before any GPU time is used."""

    def __init__(self, obstacles: Iterable[str], misplaced: Iterable[str] = ()) -> None:
        lines = list(obstacles)
        advice = ["--skip-preflight runs what can be run without these models"] if lines else []
        super().__init__("\n".join(["nothing was started", *misplaced, *lines, *advice]))


class ArtifactError(GtError):
    """A directory holds no artifact that can be read, or cannot be written."""


class PublishError(GtError):
    """Nothing was published, or it is not known whether it was; the message says which, and how to go on."""


class FetchError(GtError):
    """No published GT was fetched: the directory is as it was."""


class GateError(PublishError):
    """The quality gate refuses files of the artifact."""

    status = 1


class ReproduceError(GtError):
    """What a manifest names is missing, or cannot be had here."""


class DefinitionsError(GtError):
    """A serving engine's checkout whose test definitions cannot be read."""


class PinError(GtError):
    """A revision or a digest that could not be resolved, or not be written."""


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in a case file; `case` and `key` are empty where the whole file is meant."""

    file: str
    line: int
    case: str
    key: str
    expected: str

    def __str__(self) -> str:
        where = " ".join(part for part in (self.case, self.key) if part)
        return printable(f"{self.file}:{self.line}: {where + ': ' if where else ''}{self.expected}")


class DocumentError(GtError):
    """Every mistake of every file of one kind, one line each."""

    files = "files"

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        head = f"{counted(len(self.mistakes), 'mistake')} in the {self.files}; nothing was started"
        super().__init__("\n".join([head, *map(str, self.mistakes)]))


class CatalogueError(DocumentError):
    """Mistakes in case files."""

    files = "case files"


class FleetError(DocumentError):
    """Mistakes in a fleet file."""

    files = "fleet file"


class SiteError(DocumentError):
    """Mistakes in the file that says what a Slurm cluster's words are."""

    files = "site file"


class SlurmError(GtError):
    """What Slurm refuses, in its own words."""


def near(word: str, allowed: Iterable[str]) -> str:
    """Say what was probably meant: the near matches of `word`, or all allowed words where nothing is near."""
    words = sorted(allowed)
    matches = difflib.get_close_matches(word, words, n=3, cutoff=0.6)
    if matches:
        return f"did you mean {' or '.join(matches)}?"
    choice = ", ".join(words[:MOST_SHOWN])
    return f"allowed: {choice}{', …' if len(words) > MOST_SHOWN else ''}" if words else "there are none"


@contextmanager
def reading(path: Path, kind: type[GtError] = GtError) -> Iterator[None]:
    """Raise an error of this kind, which names the file, where it cannot be read."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise kind(f"{path} cannot be read: {_reason(error)}") from error


@contextmanager
def writing(path: Path, kind: type[GtError] = GtError, advice: str = "choose another one with -o") -> Iterator[None]:
    """Raise an error of this kind, which names the file or folder and what to do, where it cannot be written."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise kind(f"{path} cannot be written: {_reason(error)}; {advice}") from error


def _reason(error: OSError | ValueError) -> str:
    """In words; a ValueError is bytes that are no UTF-8, or a path that no file can have."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def one_line(text: str) -> str:
    """The printable text with one space in place of all white space: what a caller wrote looks like no line of ours."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """The text on one line, for a terminal, XML, Markdown or a commit message.

    White space becomes a space, and what is not printable its escape: a control character must not act.
    """
    return "".join(
        each if each.isprintable() else " " if each.isspace() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
