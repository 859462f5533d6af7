"""Sends jobs as arrays, each with a folder of its own, and finds those again that no call waits for."""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...errors import SlurmError
from ...plan import slurm
from ...plan.jobs import Job
from ...plan.slurm import Array, Site
from . import commands
from .commands import State
from .tasks import Task

Spec = Callable[[Job], dict[str, Any]]  # what a task with this job is asked to do

COMMAND = [sys.executable, "-m", f"{__package__}.task"]
SCRIPT, ID, OVER = "script.sh", "id", "id.over"  # in an array's folder: what sbatch got and answered; none is left
OF_A_CALL = ("nonce", "since")  # in a run that makes cases again; whoever needs them needs no others
KEPT_S = 30 * 86_400  # the folder of an array stays so long, for its logs


@dataclass(frozen=True)
class Sender:
    """The way to a cluster; `folder` is where arrays have theirs."""

    folder: Path
    site: Site
    partition: str

    def send(self, jobs: Sequence[Job], spec: Spec) -> list[Task]:
        """Send jobs; all of them or none. Raises SlurmError with what Slurm has against one."""
        self._sweep()
        tasks: list[Task] = []
        for array in slurm.arrays(jobs, self.site.most_tasks):
            folder = self.folder / uuid.uuid4().hex
            try:
                tasks += self._send(array, folder, spec)
            except BaseException:
                with suppress(SlurmError):
                    commands.cancel(task.name for task in tasks)
                for path in {folder, *(task.folder for task in tasks)}:
                    shutil.rmtree(path, ignore_errors=True)
                raise
        return tasks

    def _send(self, array: Array, folder: Path, spec: Spec) -> list[Task]:
        text = slurm.script(array, self.site, self.partition, folder, COMMAND)
        folder.mkdir(parents=True)
        for number, job in enumerate(array.jobs):
            (folder / f"{number}.json").write_text(json.dumps(spec(job)))
        (folder / SCRIPT).write_text(text)
        lock = _lock(folder)
        name = commands.submit(text, slurm.options(array, self.site, self.partition, folder))
        (folder / ID).write_text(name)
        return [
            Task(folder, number, name, [case.id for case in job.cases], lock) for number, job in enumerate(array.jobs)
        ]

    def unwatched(self, jobs: Sequence[Job], spec: Spec) -> dict[str, Task]:
        """By job, the tasks that Slurm still has and no call waits for: theirs was detached, or killed."""
        locks = {file.parent: _lock(file.parent) for file in self.folder.glob(f"*/{ID}")}
        arrays = {(folder / ID).read_text(): folder for folder, lock in locks.items() if lock is not None}
        states = commands.states(arrays) if arrays else {}
        tasks: dict[str, Task] = {}
        for name, folder in arrays.items():
            numbers = [int(task.partition("_")[2]) for task, state in states.items() if _is_alive(task, name, state)]
            if not numbers:
                (folder / ID).rename(folder / OVER)
            for number in numbers:
                request = json.loads((folder / f"{number}.json").read_text())
                for job in jobs:
                    if holds(request, spec(job)):
                        tasks[job.name] = Task(folder, number, name, [case.id for case in job.cases], locks[folder])
        folders = {task.folder for task in tasks.values()}
        for folder, lock in locks.items():
            if lock is not None and folder not in folders:
                lock.close()
        return tasks

    def _sweep(self) -> None:
        """Remove the folders of old arrays."""
        for script in self.folder.glob(f"*/{SCRIPT}"):
            with suppress(FileNotFoundError):
                if time.time() - script.stat().st_mtime > KEPT_S:
                    shutil.rmtree(script.parent, ignore_errors=True)


def _is_alive(task: str, array: str, state: State) -> bool:
    return task.startswith(f"{array}_") and not state.ended


def holds(request: dict[str, Any], candidate: dict[str, Any]) -> bool:
    """Whether a task that was sent makes what another one would be sent for."""
    (theirs,), (ours,) = request["run"]["jobs"], candidate["run"]["jobs"]

    def rest(spec: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
        run = {name: value for name, value in spec["run"].items() if name not in OF_A_CALL}
        return {**spec, "run": {**run, "jobs": [{name: value for name, value in job.items() if name != "cases"}]}}

    return rest(request, theirs) == rest(candidate, ours) and all(case in theirs["cases"] for case in ours["cases"])


def _lock(folder: Path) -> IO[str] | None:
    """Hold an array's folder for as long as the file is open; None where another call does, which waits for it."""
    with suppress(OSError):  # a file system without locks counts as one where somebody waits
        file = (folder / SCRIPT).open("a", encoding="utf-8")  # NFS locks only what is open for writing
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
        return file
    return None
