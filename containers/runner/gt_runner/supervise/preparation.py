"""The fetch phase of one job, under way in the background, and the warm worker that will take its cases."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from ..contract import Job, Prepared, served
from ..events import Emit, Event, FailedEvent, ReusedEvent
from ..sources.variables import ON_GPU, VARIABLES
from ..tasks import Run, RunJob, fetch_task
from .process import Child

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")


class Preparation:
    """One job from its start until its files are here; `emit` gets the events of its fetch phase."""

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
            return
        self._child = Child("fetch", os.environ, self.log)
        self._child.send(fetch_task(run, job))
        threading.Thread(target=self._follow, args=(self._child,), daemon=True).start()

    def wait(self) -> None:
        """Until each case is settled or ready; reading ahead goes on in the background."""
        while not self._fetched.wait(0.2):
            pass  # a plain wait() would not let Ctrl-C through on every platform

    def worker(self) -> Child:
        """A process for the cases that are left: the warm one first, a new one after that."""
        child, self._worker = self._worker, None
        if child is not None:
            return child
        if served(self.job):
            return Child("serve", self._env, self.log)
        return Child("work", self._env, self.log, "--warm", self.job["source"])

    def close(self) -> None:
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
            case _:
                self._emit(event)
        if len(self.ready) + len(self.settled) == len(self._cases):
            self._fetched.set()

    def _settle(self, event: ReusedEvent | FailedEvent) -> None:
        self.settled.add(event["case"])
        self._emit(event)


def worker_env(job: Job) -> dict[str, str]:
    """The environment of a worker: the job's GPUs, and for an official source no token, no hub and its VARIABLES.

    A serving engine fetches for itself, and runs as it does anywhere: it has the token, the hub, and just its GPUs set.
    """
    env = dict(os.environ)
    on_gpu = job["device"] == "cuda"
    visible = env.get("CUDA_VISIBLE_DEVICES", "")
    devices = visible.split(",") if visible else [str(number) for number in range(job["gpus"])]
    env["CUDA_VISIBLE_DEVICES"] = ",".join(devices[: job["gpus"]]) if on_gpu else ""
    if served(job):
        return env
    official = {name: value for name, value in env.items() if name not in TOKENS}
    return (ON_GPU if on_gpu else {}) | official | VARIABLES
