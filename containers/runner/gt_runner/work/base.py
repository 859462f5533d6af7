"""What every worker does with its cases, whatever makes them: one after the other; a failed one ends the process."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TypedDict

from ..contract import Case, Job, Prepared
from ..errors import CommandError, RunnerError
from ..store import Store
from ..supervise.process import Emit

FAILED = 3  # exit status: a case failed, and the supervisor starts a new process for the rest


class Task(TypedDict):
    """What a worker is asked to do."""

    job: Job
    cases: list[Prepared]  # those of the job that are not settled
    store: str
    nonce: str | None


class Cases(ABC):
    """The cases of one task."""

    def __init__(self, task: Task, emit: Emit) -> None:
        self._task, self._job, self._emit = task, task["job"], emit
        self._store = Store(Path(task["store"]))

    def run(self) -> int:
        """All cases; returns the exit status. A failed case ends the process, so that none inherits its state."""
        for prepared in self._task["cases"]:
            case = prepared["case"]
            try:
                self.make(prepared)
            except Exception as error:  # noqa: BLE001  # whatever an implementation raises is that case's failure
                if not isinstance(error, CommandError):
                    traceback.print_exc()
                failed = {"event": "failed", "case": case["id"], "phase": self.phase(case), "reason": _reason(error)}
                self._emit(failed)
                return FAILED
        return 0

    @abstractmethod
    def make(self, prepared: Prepared) -> None:
        """Make one case and put it into the store. Raises whatever goes wrong."""

    @abstractmethod
    def phase(self, case: Case) -> str:
        """The phase in which a case has just failed."""


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, RunnerError):
        return text
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which a source without torch does not know
        return f"out of GPU memory: {text.splitlines()[0]}"
    first = text.splitlines()[0] if text else "no message"
    return f"{type(error).__name__}: {first}"
