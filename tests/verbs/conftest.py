"""Runs `gt` in the process of the test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci import cli


@dataclass(frozen=True)
class Said:
    """What a command did."""

    status: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def run_gt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command's own entry point in this process."""

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["gt", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run
