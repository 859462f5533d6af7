"""What every worker does with its cases, whatever makes them: one after the other; a failed one ends the process."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from pathlib import Path

from ..contract import Case, Prepared
from ..errors import CommandError, RunnerError
from ..events import Emit, Phase
from ..store import Store
from ..tasks import WorkTask

FAILED = 3  # exit status: a case failed, and the supervisor starts a new process for the rest


class Worker(ABC):
    """Makes the cases of one task."""

    def __init__(self, task: WorkTask, emit: Emit) -> None:
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
                phase = self.phase(case)
                self._emit({"event": "failed", "case": case["id"], "phase": phase, "reason": _reason(error)})
                return FAILED
        return 0

    @abstractmethod
    def make(self, prepared: Prepared) -> None:
        """Make one case and put it into the store. Raises whatever goes wrong."""

    @abstractmethod
    def phase(self, case: Case) -> Phase:
        """The phase in which a case has just failed."""


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, RunnerError):
        return text
    first = text.splitlines()[0] if text else "no message"
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which a source without torch does not know
        return f"out of GPU memory: {first}"
    return f"{type(error).__name__}: {first}"
