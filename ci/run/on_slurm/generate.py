"""Generates on a Slurm cluster: sends what is not finished as job arrays, waits, and ends as a local run ends."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...artifact.assemble import manifest_of
from ...artifact.records import MoveRecord, RemoteRecord
from ...catalogue import gpus
from ...catalogue.gpus import CPU
from ...errors import GtError, HostError, ImageError
from ...plan import slurm
from ...plan.generation import UNFINISHED, Generation
from ...plan.host import Host
from ...plan.jobs import Job
from ...plan.slurm import Site
from .. import double_run, runner
from ..dagger_interface import CALL
from ..on_machine import Outcome, Places
from ..signals import Stop, stopping
from . import commands, waiting
from .container import check_mounts, image_record
from .sending import Sender, Spec
from .task import MACHINES, remembered
from .tasks import Task
from .waiting import Screen, Wait

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Ending

FOLDER = "slurm"  # in the cache: a folder for each array, and what was seen of the machines


@dataclass(frozen=True)
class Call:
    """One generation on a cluster."""

    run: Generation
    places: Places
    site: Site
    partition: str
    preflight: bool = True

    def finished(self) -> Outcome:
        """The cases that are finished already; nothing is sent. Raises GtError where they are to be made again."""
        self.run.only_looked_at()
        self._check()
        outcomes = self._finished()
        self.run.skip_others(outcomes, UNFINISHED)
        return self._outcome(outcomes)

    def detach(self) -> tuple[list[str], list[str]]:
        """Send what is not finished, and go; returns the finished cases, and the arrays that hold the others.

        Raises GtError as `generate` does.
        """
        if self.run.verify:
            raise GtError("--verify compares two runs, so it has to wait for the first; leave out --detach")
        if self.run.fresh:
            raise GtError(
                "--fresh makes again what the store has, and a later call would take that; leave out --detach"
            )
        outcomes, jobs = self._rest()
        return list(outcomes), sorted({task.array for task in self._tasks(jobs, self._spec)})

    def generate(self, screen: Screen) -> Outcome:
        """Send what is not finished, wait for it, and give what came of it. Ctrl-C cancels it.

        Raises GtError for what cannot be sent, SlurmError for what Slurm refuses, PreflightError as a local run does.
        """
        outcomes, jobs = self._rest()
        first = self._folder / f"first-{self.run.nonce}"
        options = {"deliver": str(first)} if self.run.verify else {}
        with stopping() as stop:
            tasks = self._tasks(jobs, lambda job: self._spec(job, **options))
            outcomes |= self._wait(tasks, screen, stop)
            if self.run.verify and not stop.is_set:
                double_run.settle(outcomes, self._second(first, screen, stop))
        shutil.rmtree(first, ignore_errors=True)
        hosts = [host for task in tasks for host in task.hosts.values()]
        moves = [move for task in tasks for move in task.moves]
        return self._outcome(outcomes, _merged(hosts), moves, interrupted=stop.is_set)

    @property
    def _folder(self) -> Path:
        """Where the arrays have their folders; the nodes must see it, like the result store."""
        return self.places.cache / FOLDER

    @property
    def _sender(self) -> Sender:
        return Sender(self._folder, self.site, self.partition)

    def _check(self) -> None:
        """Raises GtError for what cannot be sent, and PreflightError for inputs that are not what was meant."""
        slurm.check_partition(self.partition)
        self.places.check(self.run.cases)
        foreign = [job.gpu for job in self.run.jobs if gpus.vendor_of(job.gpu) not in (None, "nvidia")]
        if foreign:
            kinds = ", ".join(dict.fromkeys(foreign))
            raise HostError(
                f"there is no runner with PyTorch for {kinds}; --on any or --on cpu runs the cases elsewhere"
            )
        if self.site.container is None and importlib.util.find_spec("torch") is None:
            raise GtError("without a container in the site file, the nodes run this environment: run `uv sync` first")
        for job in self.run.jobs:
            self._image(job)
        if self.site.container is not None:
            check_mounts([self.places.cache, self.places.models, self.places.previous], self.run.cases)
        self.places.check_files(self.run.cases)

    def _image(self, job: Job) -> str | None:
        """The image that a job runs in. Raises ImageError where the site has containers and no image for the source."""
        if self.site.container is None:
            return None
        if job.cases[0].serving is not None:
            raise ImageError("native cases need the serving engine, which no runner image has; leave container out")
        if job.source not in self.site.images:
            raise ImageError(f"the site file names no image for {job.source}; `{CALL} export` makes one")
        image = self.site.images[job.source]
        if "@" not in image and self.site.container == "pyxis":
            raise ImageError(f"pyxis takes {job.source}'s image from a registry, as REFERENCE@sha256:DIGEST")
        return image

    def _job(self, job: Job, host: Host | None = None) -> dict[str, Any]:
        """A job as the runner reads it."""
        image = self._image(job)
        return self.run.job(job, image=None if image is None else image_record(image), host=host)

    def _spec(self, job: Job, **places: str | None) -> dict[str, Any]:
        """What a task is asked to do: a run as the runner reads it, but for what the node will say of itself.

        A task that Slurm queues again keeps what it has made, also in a run that makes everything again.
        """
        run = self.run.run([self._job(job)], **{**self.places.named(), **places})
        overrides = {"fresh": False, "since": self.run.started} if run["fresh"] else {}
        request = {"gpu": job.gpu, "gpus": job.gpus, "container": self.site.container, "image": self._image(job)}
        return {**request, "run": run | overrides}

    def _rest(self) -> tuple[dict[str, Ending], list[Job]]:
        """The cases that are finished, and the jobs of the others, after all that can be wrong was looked at."""
        self._check()
        commands.check()
        outcomes = {} if self.run.anew else self._finished()
        jobs = [
            replace(job, cases=tuple(case for case in job.cases if case.id not in outcomes)) for job in self.run.jobs
        ]
        rest = [job for job in jobs if job.cases]
        if self.preflight:
            specs = [self.run.job(job, host=Host(job.gpu, job.gpus)) for job in rest]
            cases = [case for job in rest for case in job.cases]
            self.places.refuse_obstacles(cases, self.run.run(specs, **self.places.named()))
        return outcomes, rest

    def _finished(self) -> dict[str, Ending]:
        """The cases that the store has as machines make them that this cluster gave for their GPU kind before."""
        specs = [self._job(job, machine) for job in self.run.jobs for machine in self._machines(job.gpu)]
        events = runner.look(self.run.run(specs, **self.places.named())) if specs else ()
        return {event["case"]: event for event in events if event["event"] == "reused"}

    def _machines(self, gpu: str) -> list[Host]:
        """Those that were given for a GPU kind."""
        if gpu == CPU:
            return [Host(CPU)]
        files = sorted((self._folder / MACHINES / gpu).glob("*.json"))
        return [machine for file in files if (machine := remembered(file)) is not None]

    def _tasks(self, jobs: Sequence[Job], spec: Spec) -> list[Task]:
        """Tasks for these jobs: those that Slurm still has and nobody waits for, and new ones."""
        orphans = {} if self.run.anew else self._sender.unwatched(jobs, spec)
        return [*orphans.values(), *self._sender.send([job for job in jobs if job.name not in orphans], spec)]

    def _wait(self, tasks: Sequence[Task], screen: Screen, stop: Stop) -> dict[str, Ending]:
        """The outcome of each case of these tasks."""
        return Wait(tasks, screen, stop, {str(self.places.cache): "<cache>"}).run()

    def _second(self, first: Path, screen: Screen, stop: Stop) -> Mapping[str, Ending]:
        """Make the cases again, in new tasks and into a store that nobody else reads."""
        call = replace(self, run=double_run.again(self.run))
        store = self._folder / f"second-{call.run.nonce}"
        places = {"store": str(store), "previous": None, "against": str(first)}
        try:
            tasks = self._sender.send(call.run.jobs, lambda job: call._spec(job, **places))
            return self._wait(tasks, screen, stop)
        finally:
            shutil.rmtree(store, ignore_errors=True)

    def _outcome(
        self,
        outcomes: Mapping[str, Ending],
        hosts: Iterable[RemoteRecord] = (),
        moves: Iterable[MoveRecord] = (),
        *,
        interrupted: bool = False,
    ) -> Outcome:
        manifest = manifest_of(self.run, outcomes, None, hosts, moves)
        results = self.places.results_of(manifest)
        if unseen := _unseen(results):
            names = ", ".join(unseen)
            raise GtError(
                f"the nodes have made {names} in a folder that is not seen here; set GT_CACHE to a shared one"
            )
        return Outcome(manifest, results, interrupted)


def _merged(hosts: Iterable[RemoteRecord]) -> list[RemoteRecord]:
    """One record for each node, from those of its tasks."""
    records: dict[str, RemoteRecord] = {}
    for host in hosts:
        record = records.setdefault(host.name, host)
        if record is not host:
            times = {
                "started": min(record.started or "", host.started or ""),
                "ended": max(record.ended or "", host.ended or ""),
            }
            records[host.name] = record.model_copy(update={"cases": [*record.cases, *host.cases], **times})
    return list(records.values())


def _unseen(results: Mapping[str, Path]) -> list[str]:
    """The cases whose folder does not appear here, for as long as a shared file system may take to show it."""
    until = time.monotonic() + waiting.LATE_S
    while (unseen := [name for name, folder in results.items() if not folder.is_dir()]) and time.monotonic() < until:
        time.sleep(waiting.LOOK_S)
    return unseen
