"""Runs jobs one after the other: a process that fetches, a process that holds the model, and a watch over both.

While one model generates, the next job's files are fetched and read ahead, and its process imports what it needs. A
case that fails, hangs past its limit or kills its process is failed alone; a new process takes the rest of the job.
"""

from __future__ import annotations

import contextlib
import json
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..contract import Prepared, load_spec
from ..events import Emit, Event, FailedEvent, Phase
from ..store import Store
from ..tasks import Run, WorkTask
from . import scrub
from .preparation import Preparation
from .process import HungError, ending_signals


class Supervisor:
    """One run. `emit` gets every event; each case ends in exactly one of events.ENDS."""

    def __init__(self, run: Run, emit: Emit) -> None:
        self._run = run
        self._left = [case["id"] for job in run["jobs"] for case in job["cases"]]
        self._forward = emit
        self._lock = threading.Lock()
        folders = {name: run.get(name) for name in ("cache", "store", "models", "serving")}
        self._hidden = scrub.hidden((f"<{name}>", Path(str(folder))) for name, folder in folders.items() if folder)
        self._following: Preparation | None = None
        self._jobs = iter(run["jobs"])

    def run(self) -> bool:
        """All jobs; False when interrupted. What is left then ends as `skipped`."""
        Store.opened(self._run)
        with tempfile.TemporaryDirectory(prefix="gt-logs-") as folder:
            self._folder = Path(folder)
            try:
                self._prepare_next()
                while (current := self._following) is not None:
                    self._following = None
                    self._job(current)
                    if self._following is None:
                        self._prepare_next()
            except KeyboardInterrupt:
                for name in list(self._left):
                    self._emit({"event": "skipped", "case": name, "reason": "interrupted"})
                return False
            finally:
                if self._following is not None:
                    self._following.close()
        return True

    def _prepare_next(self) -> None:
        job = next(self._jobs, None)
        if job is not None:
            self._following = Preparation(self._run, job, self._folder, self._emit)

    def _job(self, current: Preparation) -> None:
        with contextlib.closing(current):
            current.wait()
            left = sorted(current.ready, key=lambda each: json.dumps(load_spec(each["case"]), sort_keys=True))
            while left:
                finished = self._work(current, left)
                left = [prepared for prepared in left if prepared["case"]["id"] not in finished]

    def _work(self, current: Preparation, left: list[Prepared]) -> set[str]:
        """One worker process; returns the cases that it settled, at least one."""
        child = current.worker()
        task: WorkTask = {
            "job": {**current.job, "cases": [], "prepared": []},
            "cases": left,
            "store": self._run["store"],
            "nonce": self._run["nonce"],
            "trace": self._run.get("trace"),
        }
        child.send(task)
        watch = _Watch(left)
        reason = None
        try:
            for event in child.events(watch.deadline):
                if event["event"] == "failed":
                    self._fail(event, current, watch, left)
                else:
                    self._emit(event)
                watch.on(event)
                if event.get("phase") == "generate" and self._following is None:
                    self._prepare_next()
        except HungError:
            reason = f"took longer than its limit of {watch.limit_minutes:g} min"
        finally:
            child.end()
        if watch.unsettled and not watch.failed:
            reason = reason or _death(child.process.returncode or 0)
            failed: FailedEvent = {"event": "failed", "case": watch.case, "phase": watch.phase, "reason": reason}
            self._fail(failed, current, watch, left)
        return watch.settled

    def _fail(self, event: FailedEvent, current: Preparation, watch: _Watch, left: list[Prepared]) -> None:
        """A model that does not load fails every case that needs it; anything else fails one case."""
        case = next(each["case"] for each in left if each["case"]["id"] == event["case"])
        together = [case]
        if event["phase"] == "load":
            together = [each["case"] for each in left if load_spec(each["case"]) == load_spec(case)]
        log = scrub.log_end(current.log, self._hidden)
        for each in together:
            self._emit({**event, "case": each["id"], "log": log})
            watch.settled.add(each["id"])
        watch.failed = True

    def _emit(self, event: Event) -> None:
        with _uninterrupted(), self._lock:
            match event["event"]:
                case "reused" | "done":
                    self._left.remove(event["case"])
                case "failed" | "skipped":
                    self._left.remove(event["case"])
                    event = {**event, "reason": scrub.scrub(event["reason"], self._hidden)}  # type: ignore[typeddict-item]
            self._forward(event)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the end: a finished case whose event is cut in two would be lost to the caller."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    held: list[int] = []
    before = {sign: signal.signal(sign, lambda sign, _: held.append(sign)) for sign in ending_signals()}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    if held:
        raise KeyboardInterrupt


class _Watch:
    """Which case a worker is at, and when it is over time."""

    def __init__(self, left: list[Prepared]) -> None:
        self.settled: set[str] = set()
        self.failed = False
        self.phase: Phase = "load"
        self._cases = {prepared["case"]["id"]: prepared["case"] for prepared in left}
        self.case = left[0]["case"]["id"]
        self._since = time.monotonic()

    @property
    def unsettled(self) -> list[str]:
        """The cases that have no outcome yet, in order."""
        return [name for name in self._cases if name not in self.settled]

    @property
    def limit_minutes(self) -> float:
        """The limit of the case at hand, from the start of its loading."""
        return float(self._cases[self.case]["needs"].get("limit_minutes", 240))

    def deadline(self) -> float:
        """As a time.monotonic() value."""
        return self._since + self.limit_minutes * 60

    def on(self, event: Event) -> None:
        """Follow a worker's event."""
        if event["event"] == "phase":
            self.phase = event["phase"]
        elif event["event"] == "done":
            self.settled.add(event["case"])
            self.phase, self._since = "load", time.monotonic()
            self.case = next(iter(self.unsettled), self.case)


def _death(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status} before the case was finished"
    hint = " (often: out of memory)" if -status == signal.SIGKILL else ""  # the kernel's OOM killer sends it
    return f"its process was killed by signal {-status}{hint}"
