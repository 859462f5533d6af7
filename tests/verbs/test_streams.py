"""What `gt` does where its output cannot be written, or nobody reads it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

import pytest

from tests.verbs.conftest import Command

STREAMS = ("full", "left", "absent")


def stream(kind: str) -> TextIO | None:
    """A stream on a full disk, one whose reader has left, or none, as after `>&-`."""
    if kind == "absent":
        return None
    if kind == "full":
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        return Path("/dev/full").open("w", encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "status", "err"),
    [
        ("full", 2, "gt: standard output cannot be written: No space left on device; write to another file\n"),
        ("left", 0, ""),
        ("absent", 0, ""),
    ],
)
@pytest.mark.parametrize("arguments", [["plan", "--official"], ["cases", "show", "smoke_t2i"]])
def test_output_that_cannot_be_written_is_told_and_a_reader_that_left_is_no_fault(
    run_gt: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], kind: str, status: int, err: str
) -> None:
    monkeypatch.setattr(sys, "stdout", stream(kind))
    output = run_gt(*arguments)
    assert (output.status, output.err) == (status, err)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize(("arguments", "status"), [(["verdict", "--artifact", "absent"], 2), (["pin", "--check"], 1)])
def test_a_line_for_a_person_that_is_lost_changes_neither_output_nor_status(
    run_gt: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, kind: str
) -> None:
    monkeypatch.setattr(sys, "stderr", stream(kind))
    output = run_gt(*arguments)
    assert (output.status, output.out) == (status, "")


def test_help_on_a_full_disk_is_told_in_a_line(run_gt: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream("full"))
    output = run_gt("plan", "-h")
    words = "No space left on device; mend that, or name another place"
    assert (output.status, output.err) == (2, f"gt: this machine: {words}\n")
