"""Waits for tasks: shows what they and Slurm say, and settles the cases of those that ended without a word on them."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import SlurmError
from ..on_machine import Show
from ..signals import Stop
from . import commands
from .commands import State
from .tasks import Task, written

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Ending

LOOK_S = 0.5  # between two looks into the tasks' folders
ASK_S, SELDOM_S = 1.0, 10.0  # between two questions to Slurm: soon at first, then seldom, as it serves others too
LATE_S = 20.0  # a shared file system may show a task's last words so long after its end
STOP_S = 60.0  # so long tasks have for their end after a stop; Slurm may not answer any more
GONE = State("", "Slurm has forgotten it", "")
REASONS = {
    "TIMEOUT": "it was over its time limit; options: [--time=MINUTES] in the site file gives more",
    "OUT_OF_MEMORY": "it was over its memory; memory_gb in the site file gives more",
    "NODE_FAIL": "its node failed, and it was not queued again",
    "BOOT_FAIL": "its node did not start, and it was not queued again",
    "PREEMPTED": "a job of a higher rank took its place",
    "DEADLINE": "it was not done by its deadline",
    "CANCELLED": "someone cancelled it",
    "FAILED": "its runner ended without a word on this case; the end of its log says why",
    "COMPLETED": "its runner ended without a word on this case; the end of its log says why",
}


@dataclass(frozen=True)
class Screen:
    """What a person sees: events as progress, and lines."""

    show: Show
    say: Callable[[str], None]
    log: Callable[[str], None]  # a line of a task's log


@dataclass
class Wait:
    """Waiting for tasks until each of their cases has an outcome."""

    tasks: Sequence[Task]
    screen: Screen
    stop: Stop
    stand_ins: Mapping[str, str]  # paths, and what a manifest has in their place
    _is_cancelled: bool = False
    _last_line: str = ""

    def run(self) -> dict[str, Ending]:
        """The outcomes. Raises SlurmError where Slurm will start none of the tasks, however long it has them."""
        pause, ask_at, patience, late_at = ASK_S, 0.0, math.inf, dict[str, float]()
        while rest := [task for task in self.tasks if not task.is_over]:
            if self.stop.is_set and not self._is_cancelled:
                self._cancel(rest)
                pause, ask_at, patience = ASK_S, 0.0, time.monotonic() + STOP_S
            if time.monotonic() >= ask_at:
                self._ask(rest)
                ask_at, pause = time.monotonic() + pause, min(pause * 1.5, SELDOM_S)
            files = {folder: written(folder) for folder in {task.folder for task in rest}}
            for task in rest:
                self._follow(task, files[task.folder][task.number])
                if not task.rest:
                    task.ended()
                elif time.monotonic() > patience:
                    self._settle(task, "")
                elif task.state.ended or task.state is GONE:
                    own_end = task.state.state in ("COMPLETED", "FAILED", "")
                    if time.monotonic() >= late_at.setdefault(task.name, time.monotonic() + LATE_S * own_end):
                        reason = REASONS.get(task.state.state, task.state.reason)
                        self._settle(task, f"task {task.name} ended as {task.state.state or 'unknown'}: {reason}")
                else:  # also one that had ended, and was queued again by hand
                    late_at.pop(task.name, None)
            time.sleep(LOOK_S)
        return {name: task.outcomes[name] for task in self.tasks for name in task.cases}

    def _follow(self, task: Task, files: Sequence[str]) -> None:
        for event in task.events(files):
            if event["event"] != "skipped":  # Slurm may queue the task again
                self.screen.show(event)
        for line in task.log(files):
            self.screen.log(line)

    def _ask(self, tasks: Sequence[Task]) -> None:
        try:
            states = commands.states(task.array for task in tasks)
        except SlurmError as error:  # it is asked again; the tasks go on without it
            self._say(f"Slurm does not answer: {error}")
            return
        for task in tasks:
            self._now(task, states.get(task.name, GONE))
        queue = [task for task in tasks if task.state.state == "PENDING"]
        reasons = Counter(task.state.reason for task in queue if task.state.reason != "None")
        stuck_tasks = [task for task in queue if task.state.held_for_ever]
        if stuck_tasks:
            self._never(stuck_tasks, alone=len(queue) == len(self.tasks))
        elif reasons:
            self._say(f"{len(queue)} of {len(self.tasks)} tasks wait: {', '.join(reasons)}")

    def _now(self, task: Task, state: State) -> None:
        if state.state == "RUNNING" and (task.state.state, task.state.node) != ("RUNNING", state.node):
            self.screen.say(f"task {task.name} runs on {state.node}: {', '.join(task.rest)}")
        if state.state == "PENDING" and task.state.node:
            self.screen.say(f"task {task.name} is queued again: {task.state.node} has lost it")
        task.state = state

    def _never(self, tasks: Sequence[Task], *, alone: bool) -> None:
        """Slurm holds tasks that it will not start; it is as good as a refusal."""
        try:
            commands.cancel(task.name for task in (self.tasks if alone else tasks))
        except SlurmError as error:  # they stay in the queue, where they do no harm
            self.screen.say(f"scancel: {error}")
        reasons = ", ".join(sorted({task.state.reason for task in tasks}))
        if alone:
            for task in self.tasks:
                shutil.rmtree(task.folder, ignore_errors=True)
            raise SlurmError(f"Slurm takes the jobs and will not start them: {reasons}")
        for task in tasks:
            self._settle(task, f"Slurm will not start task {task.name}: {task.state.reason}")

    def _cancel(self, tasks: Sequence[Task]) -> None:
        try:
            commands.cancel(task.name for task in tasks)
        except SlurmError as error:
            self.screen.say(f"scancel: {error}")
        self._is_cancelled = True

    def _settle(self, task: Task, reason: str) -> None:
        """Give each case that has no outcome the reason why its task ended."""
        log = task.log_end(self.stand_ins)
        if not task.hosts and not log and (task.state.node or task.state is GONE):
            reason += "; nothing of it is seen here: do the nodes share the folder of GT_CACHE, and this program?"
        for name in task.rest:
            ending: Ending = {"event": "skipped", "case": name, "reason": "interrupted"}
            if not self._is_cancelled:
                ending = {"event": "failed", "case": name, "phase": "generate", "reason": reason, "log": log}
            task.outcomes[name] = ending
            self.screen.show(ending)
        task.ended()

    def _say(self, line: str) -> None:
        """A line that is not said twice in a row."""
        if line != self._last_line:
            self.screen.say(line)
        self._last_line = line
