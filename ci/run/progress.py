"""The runner's events as progress bars on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

ENDS = {"done": "ok", "reused": "ok, made before", "failed": "failed", "skipped": "skipped"}


class Bars:
    """One bar for all cases, one for each that is under way."""

    def __init__(self, console: Console, cases: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)
        self._all = self._progress.add_task("cases", total=cases)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, event: dict[str, Any]) -> None:
        """Draw one event."""
        name = event.get("case")
        if name is None:
            return
        kind = event["event"]
        if kind in ENDS:
            self._end(name, f"{ENDS[kind]}: {event['reason']}" if "reason" in event else ENDS[kind])
            return
        task = self._task(name)
        if kind == "phase":
            self._progress.update(task, description=f"{name} {event['phase']}")
        elif kind == "step":
            self._progress.update(task, completed=event["done"], total=event["total"])
        elif kind == "fetching":
            megabytes = event["done"] // 10**6, event["total"] // 10**6
            self._progress.update(
                task, description=f"{name} fetch {event['what']}, MB", completed=megabytes[0], total=megabytes[1]
            )

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None)
        return self._tasks[name]

    def _end(self, name: str, how: str) -> None:
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
        self._progress.console.print(f"{name}: {how}", markup=False, highlight=False)
        self._progress.advance(self._all)
