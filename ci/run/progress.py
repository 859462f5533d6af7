"""The runner's events as progress bars on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..errors import printable

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Event

ENDS = {"done": "ok", "reused": "ok, made before", "failed": "failed", "skipped": "skipped"}


class Bars:
    """One bar for all cases, one for each that is under way, with the GPU that it is on."""

    def __init__(self, progress: Progress, cases: int) -> None:
        self._progress = progress
        self._all = progress.add_task("cases", total=cases)
        self._tasks: dict[str, TaskID] = {}

    def show(self, event: Event) -> None:
        """Draw one event."""
        match event["event"]:
            case "done" | "reused":
                self._end(event["case"], ENDS[event["event"]])
            case "failed" | "skipped":
                self._end(event["case"], f"{ENDS[event['event']]}: {event['reason']}")
            case "phase" | "loaded":
                where = f"GPU {event['card']}: " if "card" in event else ""
                what = event["phase"] if event["event"] == "phase" else "loaded"
                self._describe(event["case"], f"{where}{event['case']} {what}")
            case "step":
                self._progress.update(self._task(event["case"]), completed=event["done"], total=event["total"])
            case "fetching":
                done, total = event["done"] // 10**6, event["total"] // 10**6
                self._describe(event["case"], f"{event['case']} fetch {event['what']}, MB", done, total)
            case "retry" | "notice":
                self.say(event["text"])

    def say(self, text: str) -> None:
        """A line above the bars, without control characters."""
        lines = "\n".join(map(printable, text.split("\n")))
        self._progress.console.print(lines, markup=False, highlight=False, emoji=False)

    def _describe(self, name: str, text: str, completed: int | None = None, total: int | None = None) -> None:
        self._progress.update(self._task(name), description=printable(text), completed=completed, total=total)

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None)
        return self._tasks[name]

    def _end(self, name: str, ending: str) -> None:
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
        self.say(f"{name}: {ending}")
        self._progress.advance(self._all)


def progress_on(console: Console) -> Progress:
    """The columns of the bars."""
    words = TextColumn("{task.description}", markup=False)
    return Progress(words, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)


@contextmanager
def drawn(cases: int) -> Iterator[Bars | None]:
    """Bars on a terminal that can draw them; None elsewhere, where the runner's lines are shown as they come.

    A log of CI is no terminal, whatever FORCE_COLOR says to rich.
    """
    console = Console(stderr=True)
    if not (console.is_interactive and sys.stderr is not None and sys.stderr.isatty()):
        yield None
        return
    with progress_on(console) as progress:
        yield Bars(progress, cases)
