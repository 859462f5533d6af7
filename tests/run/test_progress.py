"""What a person sees of a run on a terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from ci.run.progress import Bars

EVENTS: list[dict[str, Any]] = [
    {"event": "notice", "text": "GPU 2 is busy: process 12 holds 31.5 GB of it; it is left out"},
    {"event": "phase", "case": "one", "phase": "load", "card": "0"},
    {"event": "phase", "case": "two", "phase": "generate", "card": "1"},
    {"event": "step", "case": "two", "done": 3, "total": 50},
]


def test_each_gpu_that_is_at_work_has_a_bar_with_its_case() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Bars(screen, 2) as bars:
        for event in EVENTS:
            bars.show(event)  # type: ignore[arg-type]
        bars._progress.refresh()
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert "GPU 2 is busy: process 12 holds 31.5 GB of it; it is left out" in shown
    assert "GPU 0: one load" in shown
    assert "GPU 1: two generate" in shown
    assert "3/50" in shown
