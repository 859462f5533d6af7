"""What a verb answers, and how it reaches a person and a program."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from ..errors import GtError, printable


@dataclass(frozen=True)
class Answer:
    """What a verb answers: text for a program, lines for a person. `bad`: exit status 1, or an error of the module."""

    text: str = ""
    lines: Sequence[str] = ()
    bad: bool = False
    interrupted: bool = False

    @property
    def words(self) -> str:
        """Text and lines together, for a caller that gets one text."""
        return "\n".join([*([self.text.removesuffix("\n")] if self.text else []), *self.lines])

    @property
    def status(self) -> int:
        """The exit status of `gt`."""
        return 130 if self.interrupted else int(self.bad)


def say(line: str) -> None:
    """Tell a person, without control characters; what a program reads goes to standard output."""
    text = "\n".join(map(printable, line.split("\n")))
    _print(f"gt: {text}", sys.stderr)


def print_log(line: str) -> None:
    """A line of a log that another machine writes, as it is; without control characters."""
    _print(printable(line), sys.stderr)


def print_text(text: str) -> None:
    """Print for a program. One that reads no further has what it wants. Raises GtError where nothing can be written."""
    error = _print(text, sys.stdout)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise GtError(f"standard output cannot be written: {error.strerror}; write to another file")


def _print(text: str, stream: TextIO | None) -> OSError | None:
    """Print to a stream, if there is one, and return what stood in the way: a line that is lost must end no run."""
    if stream is None:
        return None
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python tries once more when it ends
        return error
    return None
