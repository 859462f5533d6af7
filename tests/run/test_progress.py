"""What a person sees of a run on a terminal."""

from __future__ import annotations

import io
import os
import pty
from typing import Any

import pytest
from rich.console import Console

from ci.run.progress import Bars, drawn, progress_on

EVENTS: list[dict[str, Any]] = [
    {"event": "notice", "text": "GPU 2 is busy: process 12 holds 31.5 GB of it; it is left out"},
    {"event": "phase", "case": "one", "phase": "load", "card": "0"},
    {"event": "phase", "case": "two", "phase": "generate", "card": "1"},
    {"event": "step", "case": "two", "done": 3, "total": 50},
]


def test_each_gpu_that_is_at_work_has_a_bar_with_its_case() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_on(screen) as progress:
        bars = Bars(progress, 2)
        for event in EVENTS:
            bars.show(event)  # type: ignore[arg-type]
        progress.refresh()
    assert isinstance(screen.file, io.StringIO)
    text = screen.file.getvalue()
    assert "GPU 2 is busy: process 12 holds 31.5 GB of it; it is left out" in text
    assert "GPU 0: one load" in text
    assert "GPU 1: two generate" in text
    assert "3/50" in text


def test_no_word_of_an_event_is_an_instruction_to_the_terminal() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=200)
    odd = "[/x] [bold]y :smile: \x1b[2J\x07"
    with progress_on(screen) as progress:
        bars = Bars(progress, 2)
        for event in [
            {"event": "phase", "case": "one", "phase": odd},
            {"event": "fetching", "case": "two", "what": odd, "done": 1, "total": 0},
            {"event": "failed", "case": "three", "phase": "load", "reason": f"{odd}\nsecond line"},
            {"event": "notice", "text": odd},
        ]:
            bars.show(event)  # type: ignore[arg-type]
        progress.refresh()
    assert isinstance(screen.file, io.StringIO)
    text = screen.file.getvalue()
    assert text.count("[/x] [bold]y :smile: \\x1b[2J\\x07") >= 4
    assert "\x1b[2J" not in text
    assert "\x07" not in text


@pytest.mark.parametrize(
    ("terminal", "settings", "has_bars"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),  # it would show nothing until the end
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),  # as many CI systems set it
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_bars_are_drawn_only_where_they_can_move(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, settings: dict[str, str], has_bars: bool
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    near, far = pty.openpty()
    with os.fdopen(near, "rb"), os.fdopen(far, "w") as screen, open(os.devnull, "w") as log:  # noqa: PTH123
        monkeypatch.setattr("sys.stderr", screen if terminal else log)
        with drawn(1) as bars:
            assert (bars is not None) is has_bars
