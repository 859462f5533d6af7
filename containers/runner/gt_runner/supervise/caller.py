"""What a run tells its caller: each case ends once, and no text holds a secret or a folder of this machine."""

from __future__ import annotations

import threading
from pathlib import Path

from ..events import ENDS, Emit, Event, FailedEvent, Phase
from ..tasks import Run
from . import scrub
from .stopping import uninterrupted


class Caller:
    """Who started a run, and gets its events, from any thread; each case ends in exactly one of events.ENDS."""

    def __init__(self, run: Run, emit: Emit) -> None:
        self._forward = emit
        self._lock = threading.Lock()
        self._pending = [case["id"] for job in run["jobs"] for case in job["cases"]]
        folders = {name: run.get(name) for name in ("cache", "store", "models", "serving")}
        self._hidden = scrub.hidden((f"<{name}>", Path(str(folder))) for name, folder in folders.items() if folder)

    @property
    def pending(self) -> list[str]:
        """The cases that have not ended."""
        return list(self._pending)

    def emit(self, event: Event) -> None:
        """Pass an event on."""
        with uninterrupted(), self._lock:
            if event["event"] in ENDS:
                if event["case"] not in self._pending:  # it ended while the run was being stopped: once is enough
                    return
                self._pending.remove(event["case"])
            if event["event"] == "failed" or event["event"] == "skipped":
                event = {**event, "reason": self.scrub(event["reason"])}  # type: ignore[typeddict-item]
            self._forward(event)

    def fail(self, case: str, phase: Phase, reason: str, log: list[str] | None = None) -> None:
        """End a case that could not be made; `log` are the last lines of its process."""
        event: FailedEvent = {"event": "failed", "case": case, "phase": phase, "reason": reason}
        if log is not None:
            event["log"] = log
        self.emit(event)

    def note(self, text: str) -> None:
        """Tell something that a person should know."""
        self.emit({"event": "notice", "text": text})

    def scrub(self, text: str) -> str:
        """The text without what is hidden."""
        return scrub.scrub(text, self._hidden)

    def log_end(self, log: Path) -> list[str]:
        """The last lines of a log without it."""
        return scrub.log_end(log, self._hidden)
