"""The fetch phase of one job, in a process of its own, and what it may read ahead."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from ..contract import Prepared
from ..environment import memory
from ..events import Emit, Event, FailedEvent, ReusedEvent
from ..tasks import Run, RunJob, fetch_task
from .process import Child, ending


class ReadAhead:
    """Lets one job after the other read its weights into the page cache: together never more than half of the memory.

    A job counts from when it may read until its model is loaded or it is over. The first one may always read, as far
    as the half goes: its own load would read the same pages.
    """

    def __init__(self, half: int | None = None) -> None:
        self._half = memory() // 2 if half is None else half
        self._shares: dict[str, int] = {}
        self._reading: str | None = None
        self._change = threading.Condition()

    def may_read(self, job: str, size: int) -> int:
        """Wait for this job's turn; returns how many bytes it may read."""
        with self._change:
            self._change.wait_for(lambda: self._reading is None and (not self._shares or size <= self._rest))
            self._reading = job
            self._shares[job] = min(size, self._rest)
            return self._shares[job]

    def has_read(self, job: str) -> None:
        """Let the next job read."""
        with self._change:
            if self._reading == job:
                self._reading = None
                self._change.notify_all()

    def loaded(self, job: str) -> None:
        """What the job has read may leave the memory."""
        with self._change:
            self._shares.pop(job, None)
            self._change.notify_all()
        self.has_read(job)

    @property
    def _rest(self) -> int:
        return self._half - sum(self._shares.values())


class Fetching:
    """One job from its start until its files are here; `emit` gets the events of its fetch phase.

    `notify` is called when a case turns out to be missing in the store, when the last case is ready or settled, and
    when reading ahead begins.
    """

    def __init__(
        self, run: Run, job: RunJob, log: Path, emit: Emit, ahead: ReadAhead, notify: Callable[[], None]
    ) -> None:
        self.job, self.log = job, log
        self._emit, self._ahead, self._notify = emit, ahead, notify
        self.ready: list[Prepared] = []
        self.missing = self.fetched = self.over = False  # something is to be made; all is here; and its turn has come
        self.bytes = 0  # of its weights, as far as they are read ahead
        self._closed = False
        self._cases = {case["id"]: case for case in job["cases"]}
        self._settled: set[str] = set()
        self._child: Child | None = None
        if "prepared" in job:
            self.ready = job["prepared"]
            self.missing = self.fetched = self.over = True
            return
        self._child = Child("fetch", os.environ, log)
        self._child.send(fetch_task(run, job))

    def close(self) -> None:
        """Stop what is still running; the cases that are being fetched get no outcome."""
        self._closed = True
        self._ahead.loaded(self.job["name"])
        if self._child is not None:
            self._child.end()

    def follow(self) -> None:
        """Until its process has ended."""
        child = self._child
        if child is None:
            return
        for event in child.events():
            self._on(event, child)
        if self._closed:
            return
        reason = self._reason(child)
        for name in self._cases.keys() - self._settled - {prepared["case"]["id"] for prepared in self.ready}:
            self._settle({"event": "failed", "case": name, "phase": "fetch", "reason": reason})
        self._ahead.has_read(self.job["name"])
        self.fetched = self.over = True
        self._notify()

    def _reason(self, child: Child) -> str:
        """Why its process ended before all cases were settled; a process that is killed has no last words."""
        if child.status < 0:
            return f"the fetch process {ending(child.status)}"
        words = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        return ": ".join(["the fetch process ended early", *words])

    def _on(self, event: Event, child: Child) -> None:
        match event["event"]:
            case "missing":
                self.missing = True
                self._notify()
            case "reused" | "failed":
                self._settle(event)
            case "ready":
                case = self._cases[event["case"]]
                self.ready.append(
                    {"case": case, "key": event["key"], "fetched": event["fetched"], "fetch_seconds": event["seconds"]}
                )
            case "ask":
                self.fetched, self.bytes = True, event["bytes"]
                self._notify()
                child.send(self._ahead.may_read(self.job["name"], event["bytes"]))
                self.over = True
                self._notify()
            case _:
                self._emit(event)

    def _settle(self, event: ReusedEvent | FailedEvent) -> None:
        self._settled.add(event["case"])
        self._emit(event)
