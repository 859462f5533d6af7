"""One worker process on its GPUs: the cases that it takes, their limits, and what is left where it ends early."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..contract import Job, Prepared, served
from ..events import Emit, Event, FailedEvent, Phase
from ..sources.variables import ON_GPU, VARIABLES
from ..tasks import WorkTask
from .process import Child, HungError, ending

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")


@dataclass
class _UnderWay:
    """A case that a worker has and that has no outcome yet."""

    prepared: Prepared
    phase: Phase
    since: float = field(default_factory=time.monotonic)

    @property
    def minutes(self) -> float:
        return float(self.prepared["case"]["needs"].get("limit_minutes", 240))

    @property
    def until(self) -> float:
        return self.since + self.minutes * 60


@dataclass
class Outcome:
    """How a session ended: what failed (`failed`), what did not load (`unloaded`), and what is to be made again."""

    failed: list[tuple[Prepared, FailedEvent]] = field(default_factory=list)
    unloaded: tuple[Prepared, str] | None = None  # a case whose model did not load, and the reason
    again: list[Prepared] = field(default_factory=list)
    suspects: bool = False  # one of these killed the process, and it is not known which


class Session:
    """Follows one process until it ends. `take` is asked for the next case: (whether there is an answer, the case)."""

    def __init__(
        self,
        child: Child,
        task: WorkTask,
        emit: Emit,
        take: Callable[[Sequence[str]], tuple[bool, Prepared | None]],
        on_load: Callable[[], None],
    ) -> None:
        self._child, self._task, self._emit, self._take, self._on_load = child, task, emit, take, on_load
        self._model = _UnderWay(task["model"], "load")
        self._cases: dict[str, _UnderWay] = {}
        self._is_asking = self.loaded = False

    def follow(self) -> Outcome:
        """Until the process has ended."""
        outcome = Outcome()
        self._child.send(self._task)
        try:
            for event in self._child.events(self._deadline):
                self._on(event, outcome)
                self._answer()
        except HungError:
            self._hung(outcome)
        finally:
            self._child.end()
        self._settle(outcome)
        return outcome

    def _deadline(self) -> float | None:
        loading = [] if self.loaded else [self._model.until]
        return min([*loading, *(each.until for each in self._cases.values())], default=None)

    def _on(self, event: Event, outcome: Outcome) -> None:
        match event["event"]:
            case "ask":
                if not self.loaded:
                    self.loaded = True
                    self._emit({"event": "loaded", "case": self._model.prepared["case"]["id"]})
                    self._on_load()
                self._is_asking = True
                return
            case "failed" if event["phase"] == "load":
                case = self._cases.pop(event["case"], self._model).prepared
                outcome.unloaded = case, event["reason"]
                outcome.again.append(case) if self.loaded else None
                return
            case "failed":
                outcome.failed.append((self._cases.pop(event["case"]).prepared, event))
                return
            case "done":
                self._cases.pop(event["case"])
            case "phase" if event["case"] in self._cases:
                self._cases[event["case"]].phase = event["phase"]
        self._emit(event)

    def _answer(self) -> None:
        if not self._is_asking:
            return
        answered, prepared = self._take(list(self._cases))
        if answered:
            self._is_asking = False
            if prepared is not None:
                self._cases[prepared["case"]["id"]] = _UnderWay(prepared, "generate")
            self._child.send(prepared)

    def _hung(self, outcome: Outcome) -> None:
        now = time.monotonic()
        if not self.loaded:
            outcome.unloaded = self._model.prepared, _too_long(self._model)
        for name, each in list(self._cases.items()):
            if each.until <= now:
                del self._cases[name]
                self._fail(each, _too_long(each), outcome)

    def _settle(self, outcome: Outcome) -> None:
        """What the process had and did not finish."""
        rest = list(self._cases.values())
        explained = outcome.failed or outcome.unloaded
        if not explained and not self.loaded:
            outcome.unloaded = self._model.prepared, self._death()
        elif not explained and len(rest) == 1:
            self._fail(rest.pop(), self._death(), outcome)
        elif not explained and rest:
            outcome.suspects = True
        outcome.again += [each.prepared for each in rest]

    def _death(self) -> str:
        return f"its process {ending(self._child.status)} before the case was finished"

    def _fail(self, each: _UnderWay, reason: str, outcome: Outcome) -> None:
        name = each.prepared["case"]["id"]
        if each.phase == "load":
            outcome.unloaded = each.prepared, reason
            outcome.again.append(each.prepared)
        else:
            event: FailedEvent = {"event": "failed", "case": name, "phase": each.phase, "reason": reason}
            outcome.failed.append((each.prepared, event))


def _too_long(each: _UnderWay) -> str:
    return f"took longer than its limit of {each.minutes:g} min"


def worker(job: Job, cards: Sequence[str], log: Path) -> Child:
    """A process for cases of a job on these GPUs.

    One of an official source is first sent whether it may use its GPU before it has a task; it imports meanwhile.
    """
    env = worker_env(job, cards)
    if served(job):
        return Child("serve", env, log)
    pipeline = next((case["pipeline"] for case in job["cases"] if "pipeline" in case), "")
    return Child("work", env, log, "--source", job["source"], "--pipeline", pipeline)


def worker_env(job: Job, cards: Sequence[str]) -> dict[str, str]:
    """The environment of a worker: its GPUs, and for an official source no token, no hub and its VARIABLES.

    A serving engine fetches for itself, and runs as it does anywhere: it has the token, the hub, and just its GPUs set.
    """
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(cards)}
    if served(job):
        return env
    official = {name: value for name, value in env.items() if name not in TOKENS}
    return (ON_GPU if job["device"] == "cuda" else {}) | official | VARIABLES
