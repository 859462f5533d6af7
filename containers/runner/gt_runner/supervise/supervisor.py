"""Runs jobs one after the other: a process that fetches, a process that holds the model, and a watch over both.

While one model generates, the next job's files are fetched and read ahead, and its process imports what it needs. A
case that fails, hangs past its limit or kills its process is failed alone; a new process takes the rest of the job.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, TypedDict

from ..contract import SHARED, Job, Prepared, by_engine, load_spec
from ..store import Store
from . import scrub
from .process import Child, Emit, Event, Hung

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")


class RunJob(Job):
    """A job on this machine."""

    prepared: NotRequired[list[Prepared]]  # by an earlier fetch phase, elsewhere; absent: it is this run's to do


class Run(TypedDict):
    """What a run is asked to do; folders are of this machine."""

    jobs: list[RunJob]
    store: str
    cache: str
    models: str | None
    previous: str | None  # an earlier artifact, taken in as a store
    engine: NotRequired[str | None]  # the checkout of the engine that makes native cases
    engine_identity: NotRequired[str | None]  # of that checkout, where the caller knows it
    fresh: bool
    nonce: str | None
    deliver: NotRequired[str]  # a folder that gets the files of each finished case
    against: NotRequired[str]  # a folder with the files of an earlier run, which each finished case is compared with
    look: NotRequired[bool]  # prepare: only name what the store has, and fetch nothing
    since: NotRequired[str]  # prepare: a time; what was made before is as good as not there
    elsewhere: NotRequired[bool]  # preflight: weights will lie on other machines, whose disks are theirs to look at


class Preparation:
    """The fetch phase of one job, under way in the background, and the warm worker that will take its cases."""

    def __init__(self, run: Run, job: RunJob, folder: Path, emit: Emit) -> None:
        self.job, self._emit = job, emit
        self.ready: list[Prepared] = []
        self.settled: set[str] = set()
        self.log = folder / f"{job['name']}.log"
        self._env = worker_env(job)
        self._worker: Child | None = None
        self._child: Child | None = None
        self._fetched = threading.Event()
        self._cases = {case["id"]: case for case in job["cases"]}
        self._worker = self.worker()  # its imports take longer than finding out that there is nothing to do
        if "prepared" in job:
            self.ready = job["prepared"]
            self._fetched.set()
        else:
            self._fetch(run)

    def _fetch(self, run: Run) -> None:
        child = self._child = Child("fetch", dict(os.environ), self.log)
        child.send({"job": self.job, **{name: run[name] for name in SHARED if name in run}})  # type: ignore[literal-required]
        threading.Thread(target=self._follow, args=(child,), daemon=True).start()

    def wait(self) -> None:
        """Until each case is settled or ready; reading ahead goes on in the background."""
        while not self._fetched.wait(0.2):
            pass  # a plain wait() would not let Ctrl-C through on every platform

    def worker(self) -> Child:
        """A process for the cases that are left: the warm one first, a new one after that."""
        child, self._worker = self._worker, None
        if child is not None:
            return child
        if by_engine(self.job):
            return Child("engine", self._env, self.log)
        return Child("work", self._env, self.log, "--warm", self.job["source"])

    def end(self) -> None:
        """Stop what is still running."""
        for child in (self._child, self._worker):
            if child is not None:
                child.end()

    def _follow(self, child: Child) -> None:
        for event in child.events():
            self._on(event)
        for name in self._cases.keys() - self.settled - {prepared["case"]["id"] for prepared in self.ready}:
            self._settle({"event": "failed", "case": name, "phase": "fetch", "reason": "the fetch process ended early"})
        self._fetched.set()

    def _on(self, event: Event) -> None:
        match event["event"]:
            case "reused" | "failed":
                self._settle(event)
            case "ready":
                case = self._cases[event["case"]]
                self.ready.append(
                    {"case": case, "key": event["key"], "fetched": event["fetched"], "fetch_seconds": event["seconds"]}
                )
            case "fetching":
                self._emit(event)
            case "read_ahead":
                self._emit(event | {"job": self.job["name"]})
        if len(self.ready) + len(self.settled) == len(self._cases):
            self._fetched.set()

    def _settle(self, event: Event) -> None:
        self.settled.add(event["case"])
        self._emit(event)


class Supervisor:
    """One run. `emit` gets every event; each case ends in exactly one of `reused`, `done`, `failed`, `skipped`."""

    def __init__(self, run: Run, emit: Emit) -> None:
        self._run = run
        self._left = [case["id"] for job in run["jobs"] for case in job["cases"]]
        self._forward = emit
        self._lock = threading.Lock()
        self._hidden = scrub.hidden(
            (f"<{name}>", Path(str(folder)))
            for name in ("cache", "store", "models", "engine")
            if (folder := run.get(name))
        )
        self._following: Preparation | None = None
        self._jobs = iter(run["jobs"])

    def run(self) -> bool:
        """All jobs; False when interrupted. What is left then ends as `skipped`."""
        store = Store(Path(self._run["store"]))
        store.sweep()
        if self._run["previous"] and not self._run["fresh"]:
            store.adopt(Path(self._run["previous"]))
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
                    self._following.end()
        return True

    def _prepare_next(self) -> None:
        job = next(self._jobs, None)
        if job is not None:
            self._following = Preparation(self._run, job, self._folder, self._emit)

    def _job(self, current: Preparation) -> None:
        with contextlib.closing(_Ending(current)):
            current.wait()
            left = sorted(current.ready, key=lambda each: json.dumps(load_spec(each["case"]), sort_keys=True))
            while left:
                finished = self._work(current, left)
                left = [prepared for prepared in left if prepared["case"]["id"] not in finished]

    def _work(self, current: Preparation, left: list[Prepared]) -> set[str]:
        """One worker process; returns the cases that it settled, at least one."""
        job, child = current.job, current.worker()
        shared = {"store": self._run["store"], "nonce": self._run["nonce"]}
        child.send({"job": {**job, "cases": [], "prepared": []}, "cases": left, **shared})
        watch = _Watch(left)
        reason = None
        try:
            for event in child.events(watch.deadline):
                if event["event"] == "failed":
                    self._fail(event | {"log": scrub.log_end(current.log, self._hidden)}, watch, left)
                else:
                    self._emit(event)
                watch.on(event)
                if event.get("phase") == "generate" and self._following is None:
                    self._prepare_next()
        except Hung:
            reason = f"took longer than its limit of {watch.limit_minutes:g} minutes"
        finally:
            child.end()
        if watch.unsettled and not watch.failed:
            reason = reason or _death(child.process.returncode or 0)
            failed = {"event": "failed", "case": watch.case, "phase": watch.phase, "reason": reason}
            self._fail(failed | {"log": scrub.log_end(current.log, self._hidden)}, watch, left)
        return watch.settled

    def _fail(self, event: Event, watch: _Watch, left: list[Prepared]) -> None:
        """A model that does not load fails every case that needs it; anything else fails one case."""
        case = next(each["case"] for each in left if each["case"]["id"] == event["case"])
        together = [case]
        if event["phase"] == "load":
            together = [each["case"] for each in left if load_spec(each["case"]) == load_spec(case)]
        for each in together:
            self._emit(event | {"case": each["id"]})
            watch.settled.add(each["id"])
        watch.failed = True

    def _emit(self, event: Event) -> None:
        with _uninterrupted(), self._lock:
            if event["event"] in ("reused", "done", "failed", "skipped"):
                self._left.remove(event["case"])
            if "reason" in event:
                event = event | {"reason": scrub.scrub(event["reason"], self._hidden)}
            self._forward(event)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the end: a finished case whose event is told in part would be lost to the caller."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    held: list[int] = []
    before = {sign: signal.signal(sign, lambda sign, _: held.append(sign)) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    if held:
        raise KeyboardInterrupt


class _Ending:
    """Closes a preparation's processes however its job ends."""

    def __init__(self, preparation: Preparation) -> None:
        self.close = preparation.end


class _Watch:
    """Which case a worker is at, and when it is over time."""

    def __init__(self, left: list[Prepared]) -> None:
        self.settled: set[str] = set()
        self.failed = False
        self.phase = "load"
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


def worker_env(job: RunJob) -> dict[str, str]:
    """The environment of a worker: no token, no hub, the job's GPUs, and what the official step sets for them.

    An engine fetches for itself, and runs as it does anywhere: it has the token, the hub, and just its GPUs set.
    """
    env = dict(os.environ)
    if job["device"] == "cuda":
        given = env.get("CUDA_VISIBLE_DEVICES", "")
        devices = given.split(",") if given else [str(number) for number in range(job["gpus"])]
        env["CUDA_VISIBLE_DEVICES"] = ",".join(devices[: job["gpus"]])
    else:
        env["CUDA_VISIBLE_DEVICES"] = ""
    if by_engine(job):
        return env
    if job["device"] == "cuda":
        env.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    return {name: value for name, value in env.items() if name not in TOKENS} | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
    }


def _death(status: int) -> str:
    if status < 0:
        hint = " (often: out of memory)" if status == -9 else ""  # noqa: PLR2004  # SIGKILL, as the kernel's OOM killer sends it
        return f"its process was killed by signal {-status}{hint}"
    return f"its process ended with status {status} before the case was finished"
