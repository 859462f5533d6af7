"""Runs `gt` in the process of the test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci import cli


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


Command = Callable[..., Output]


@pytest.fixture
def run_gt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command's own entry point in this process."""

    def run(*arguments: str | Path) -> Output:
        monkeypatch.setattr(sys, "argv", ["gt", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        code = exit_.value.code
        return Output(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run
