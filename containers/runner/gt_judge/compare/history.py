"""The measures of all comparisons so far, a JSON line for each file: a slow drift shows before a threshold does."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from ..data import Data
from ..errors import JudgeError
from ..text import mistakes, printable
from .result import Comparison, FileResult, Measurement
from .similarity import Values

Series = tuple[str, str | None]  # a file, and the GPU kind that made it: images of two kinds are no trend


class Entry(Data):
    """What one comparison measured of one file. PSNR is null where it is infinite."""

    version: Literal[1]
    date: AwareDatetime  # of the comparison
    run: str | None  # when the run that made the artifact started, by its manifest
    case: str
    file: str
    gpu: str | None  # the GPU kind that made it
    engine_gpu: str | None  # the GPU kind of the serving engine's output, where that is known
    published: Values | None  # new against published; None where it was not measured
    engine: Values | None  # the serving engine's against new


class History:
    """A file that grows with each comparison. Several may append to it at once."""

    def __init__(self, path: Path) -> None:
        """Raises JudgeError where it cannot be read and written, or holds anything else."""
        self._path = path
        with self._locked() as file:
            self._read(file)

    def grow(self, entries: Sequence[Entry]) -> list[Entry]:
        """Append entries; gives all that the file then holds, by date. Raises JudgeError."""
        lines = "".join(f"{entry.model_dump_json()}\n" for entry in entries).encode()
        with self._locked() as file:
            history = self._read(file)
            _append(file, lines)
        return sorted([*history, *entries], key=lambda entry: entry.date)

    @contextmanager
    def _locked(self) -> Iterator[FileIO]:
        """The open file, for nobody else meanwhile."""
        try:
            if self._path.exists() and not self._path.is_file():  # a pipe would never end
                raise JudgeError(f"{self._path} is no file; name another one with --history")
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
        except OSError as error:
            words = f"{self._path} cannot be written: {error.strerror}; name another file with --history"
            raise JudgeError(words) from None

    def _read(self, file: FileIO) -> list[Entry]:
        file.seek(0)
        lines = enumerate(file.readall().split(b"\n"), start=1)
        return [self._entry(number, line) for number, line in lines if line.strip()]

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            return Entry.model_validate_json(line)
        except ValidationError as error:
            raise JudgeError(
                f"{self._path.name} is no history of comparisons: line {number}: {next(mistakes(error))}; "
                "take the line out, or name another file with --history"
            ) from None


def _append(file: FileIO, lines: bytes) -> None:
    """All lines or none: a full disk leaves no torn line."""
    end = file.seek(0, os.SEEK_END)
    if end and lines:
        file.seek(end - 1)
        lines = lines if file.read(1) == b"\n" else b"\n" + lines  # somebody's editor took the last newline
    count = 0
    try:
        count = file.write(lines)
    finally:
        if count != len(lines):
            file.truncate(end)
    if count != len(lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def entries(comparison: Comparison, date: AwareDatetime, engine_gpu: str | None) -> list[Entry]:
    """What a comparison measured, by file; a file that has no values has no entry."""
    run = comparison.about["run"]
    rows = [
        Entry(
            version=1,
            date=date,
            run=run and run["started"],
            case=printable(case.name),
            file=printable(file.pair.name),
            gpu=file.pair.new.kind,
            engine_gpu=(engine_gpu or file.pair.serving_kind) if file.serving else None,
            published=_values(file.gt),
            engine=_values(file.serving),
        )
        for case in comparison.cases
        for file in case.files
    ]
    return [entry for entry in rows if entry.published or entry.engine]


def by_series(history: Sequence[Entry]) -> dict[Series, list[Entry]]:
    """The entries that are one line in a picture."""
    series: dict[Series, list[Entry]] = {}
    for entry in history:
        series.setdefault((entry.file, entry.gpu), []).append(entry)
    return series


def series_of(file: FileResult) -> Series:
    """Where the entries of a file are."""
    return printable(file.pair.name), file.pair.new.kind


def _values(measurement: Measurement | None) -> Values | None:
    values = measurement.as_json()["values"] if measurement is not None and not measurement.error else None
    return values or None
