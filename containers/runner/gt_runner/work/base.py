"""What every worker does with its cases, whatever makes them: one after the other; a failed one ends the process.

While a case is saved, the next one is made.
"""

from __future__ import annotations

import contextlib
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from ..contract import Case, Prepared
from ..errors import CommandError, RunnerError
from ..events import OUT_OF_MEMORY, Emit, Phase
from ..store import Store
from ..tasks import WorkTask
from .saving import Save, Saving

FAILED = 3  # exit status: a case failed, and the supervisor starts a new process for the rest


class Worker(ABC):
    """Makes the cases of one task, which it asks for one by one: other GPUs may be at work on the same job."""

    def __init__(self, task: WorkTask, emit: Emit, ask: Callable[[], Prepared | None]) -> None:
        self._task, self._job, self._emit, self._ask = task, task["job"], emit, ask
        self._store = Store(Path(task["store"]))

    def run(self) -> int:
        """All cases; returns the exit status. A failed case ends the process, so that none inherits its state."""
        with Saving(lambda case, error: self._failed(case, "save", error)) as saving:
            prepared: Prepared | None = self._task["model"]
            try:
                self.load(self._task["model"])
                while (prepared := self._ask()) is not None:
                    saving.put(prepared["case"], self.make(prepared))
            except Exception as error:  # noqa: BLE001  # whatever an implementation raises is that case's failure
                assert prepared is not None  # noqa: S101  # for the type checker
                self._failed(prepared["case"], self.phase(prepared["case"]), error)
                return FAILED
        return 0

    @abstractmethod
    def load(self, prepared: Prepared) -> None:
        """Load the model of a case. Raises whatever goes wrong."""

    @abstractmethod
    def make(self, prepared: Prepared) -> Save:
        """Generate one case; what is returned puts it into the store. Raises whatever goes wrong."""

    @abstractmethod
    def phase(self, case: Case) -> Phase:
        """The phase in which a case has just failed, unless it was saved."""

    def _failed(self, case: Case, phase: Phase, error: Exception) -> None:
        self._emit({"event": "failed", "case": case["id"], "phase": phase, "reason": _reason(error)})
        if not isinstance(error, CommandError):
            with contextlib.suppress(OSError):  # the log's disk is full: what fails here would hide the reason
                traceback.print_exception(error)


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, RunnerError):
        return text
    first = text.splitlines()[0] if text else "no message"
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which a source without torch does not know
        return f"{OUT_OF_MEMORY}: {first}"
    return f"{type(error).__name__}: {first}"
