"""Runs a generation's jobs on the engine that runs the module: fetch without a GPU, generate without network.

Every exec carries the call's nonce, so that the engine never answers from its cache of execs, which does not know that
weights moved or that a store is gone. Finished cases come from the result store, by key.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import dagger
from dagger import dag

from ..catalogue.fields import Code
from ..catalogue.gpus import CPU
from ..plan.generation import Generation
from ..plan.host import Host, host_of
from ..plan.jobs import Job, spread
from ..plan.nvidia import QUERY
from . import double_run, recipes, spans, transfer
from .devices import Devices
from .events import events_in
from .images import ENGINE, Checkout, Image, Images, mounted, with_hub
from .recipes import WEIGHTS
from .results import Results, Step
from .wording import of_the_module

if TYPE_CHECKING:  # the runner has a container of its own
    from gt_runner.events import Ending, Event

CASES, STORE, MODELS, PREVIOUS, OUT = "/gt/cases", "/gt/store", "/gt/models", "/gt/previous", "/gt/out"
FIRST, SECOND = "/gt/first", "/gt/second"  # of a double run: the files that were made first, and a store for the others
TRACES, CACHE = "/gt/traces", f"{WEIGHTS}/diffusion-gt"
RUN, EVENTS = "/gt/run.json", "/gt/events.jsonl"
KEEP = ["python", "-m", "gt_runner", "prepare", RUN]
LOG = 20  # last lines of a runner that did not start
FETCHING = 2  # jobs whose files are fetched at once: more share one line and evict each other's pages


@dataclass(frozen=True)
class Settings:
    """The caller's options, beside the selection."""

    cases: dagger.Directory
    weights: dagger.CacheVolume
    results: dagger.CacheVolume
    code: Mapping[str, dagger.Directory] = field(default_factory=dict)  # by source
    engine: Checkout | None = None  # that makes the native cases, if there are any
    previous: dagger.Directory | None = None
    token: dagger.Secret | None = None
    hf_endpoint: str = ""
    parallel: int = 0  # jobs that generate at once; 0: as many as the GPUs allow
    images: Sequence[str] = ()  # to pull, as SOURCE=REFERENCE@sha256:DIGEST
    events: bool = False  # the log has each event of the runner as JSON too, for a program that reads it
    trace: Mapping[str, Any] | None = None  # which tensors are kept in TRACES


async def probe(container: dagger.Container) -> Host:
    """The engine's GPUs, as the driver reports them; a host of kind cpu where it has none."""
    worker = container.with_env_variable("GT_NONCE", uuid.uuid4().hex).experimental_with_all_gp_us()
    with spans.step("look for GPUs"):
        try:
            return host_of(await worker.with_exec(list(QUERY)).stdout())
        except dagger.QueryError:  # no GPU support, or no driver
            return Host(CPU)


class Engine:
    """One generation on one engine, with what came of it so far."""

    def __init__(self, generation: Generation, settings: Settings, images: Images) -> None:
        self.results = Results()
        self._generation, self._settings, self._images = generation, settings, images
        self._devices = Devices([card.number for card in generation.host.cards], settings.parallel)
        self._fetching = anyio.Semaphore(FETCHING)
        self._workers: dict[str, Image] = {}

    async def obstacles(self, *, elsewhere: bool = False) -> list[str]:
        """Models that are closed to the token, and a disk that is too small; before a large image is built.

        Cases that have a result need no model. `elsewhere`: the weights will lie on other machines, whose disks are
        theirs to look at.
        """
        await self.plan()
        jobs = self._rest()
        if not any(case.repositories for job in jobs for case in job.cases):
            return []
        container = self._with_network(self._fetcher, jobs)
        run = self._run([self._spec(job) for job in jobs], elsewhere=elsewhere)
        answer = container.with_file(RUN, transfer.file(run)).with_exec(["python", "-m", "gt_runner", "preflight", RUN])
        with spans.step("preflight"):
            obstacles: list[str] = json.loads(await answer.stdout())
        return obstacles

    async def generate(self) -> None:
        """Run all jobs here, less what has a result, the longest first."""
        await self.plan()
        gpus = len(self._generation.host.cards)
        async with anyio.create_task_group() as group:
            for job in spread(self._rest(), min(gpus, self._settings.parallel or gpus)):
                group.start_soon(self.run_job, job)

    def _rest(self) -> list[Job]:
        return [rest for job in self._generation.jobs if (rest := self.results.rest(job)).cases]

    async def plan(self) -> None:
        """Name the images. An exec builds the one that it needs, so a call that finds every result builds none."""
        if self._workers:
            return
        with spans.step("image fetch"):
            self._fetcher = await (await self._images.image(recipes.FETCH)).container.sync()
        if self._settings.engine is not None:
            self._fetcher = self._fetcher.with_mounted_directory(ENGINE, self._settings.engine.folder)
        for job in self._generation.jobs:
            if job.source not in self._workers:
                self._workers[job.source] = await self._image(job)

    async def _image(self, job: Job) -> Image:
        engine, checkout = job.cases[0].serving, self._settings.engine
        if engine is None or checkout is None:
            return await self._images.image(job.source)
        return await self._images.of_engine(job.source, engine, checkout)

    def _spec(self, job: Job, host: Host | None = None) -> dict[str, Any]:
        """The job as the runner reads it; `host` runs it, if not this engine."""
        return self._generation.job(job, Path(CASES), self._workers[job.source].record, host)

    async def run_job(self, job: Job, devices: list[str] | None = None) -> None:
        """Run one job on these GPUs of this engine, else on the next that are free."""
        with spans.job(job.name):
            prepared = await self._prepare(job)
            if prepared:
                count = job.gpus if self._spec(job)["device"] == "cuda" else 0
                async with self._devices.taken(count) if devices is None else nullcontext(devices) as numbers:
                    await self._work(job, prepared, numbers)

    async def _prepare(self, job: Job) -> list[dict[str, Any]]:
        """Fetch what a job needs; returns its cases that are to be made."""
        spec = self._spec(job)
        fetcher = self._with_network(self._fetcher, [job])
        async with self._fetching:
            step = await self._exec(fetcher, "prepare", self._run([spec]), f"{job.name}: fetch")
        self.results.add(step)
        cases = {case["id"]: case for case in spec["cases"]}
        return [
            {
                "case": cases[event["case"]],
                "fetch_seconds": event["seconds"],
                "key": event["key"],
                "fetched": event["fetched"],
            }
            for event in step.events
            if event["event"] == "ready"
        ]

    async def _work(self, job: Job, prepared: list[dict[str, Any]], devices: list[str]) -> None:
        ready = {**self._spec(job), "cases": [each["case"] for each in prepared], "prepared": prepared}
        with spans.step(f"image {job.source}"):
            container = await self._workers[job.source].container.sync()
        is_native = job.cases[0].serving is not None  # an engine fetches for itself
        worker = self._with_network(container, [job]) if is_native else self._with_volumes(container, [job])
        if devices:
            worker = _locked(worker, devices).experimental_with_gpu(devices)
        step = await self._exec(worker, "run", self._run([ready]), f"{job.name}: generate")
        self.results.add(step)  # what the first run made is safe, should time run out now
        if self._generation.verify and step.directory is not None:
            double_run.settle(step.outcomes, await self._second(worker, ready, step.directory))

    async def _second(
        self, worker: dagger.Container, ready: Mapping[str, Any], first: dagger.Directory
    ) -> Mapping[str, Ending]:
        """Make a job's cases again, in a container and a store that go when it is done."""
        generation = double_run.again(self._generation)
        job = {**ready, "prepared": ready["prepared"][::-1]}
        places = {"store": SECOND, "cache": CACHE, "models": None, "previous": None}
        run = json.dumps(generation.run([job], **places, against=FIRST))
        worker = worker.with_env_variable("GT_NONCE", generation.nonce).with_mounted_directory(FIRST, first)
        return (await self._exec(worker, "run", run, "generate again")).outcomes

    async def missing(self, job: Job, host: Host, **flags: Any) -> list[str]:
        """The cases of a job that the store here does not have as this host would make them; the others are taken."""
        if not job.cases:
            return []
        await self._look([job], host, **flags)
        return [case.id for case in self.results.rest(job).cases]

    async def look(self) -> None:
        """Take the cases that are finished already; make none."""
        await self._look(self._generation.jobs, self._generation.host)

    async def _look(self, jobs: Sequence[Job], host: Host, **flags: Any) -> None:
        """One exec for all jobs: a call that finds everything starts no other."""
        await self.plan()
        specs = [self._spec(job, host) for job in jobs]
        fetcher = self._with_network(self._fetcher, jobs).with_env_variable("GT_NONCE", uuid.uuid4().hex)
        run = self._run(specs, look=True, **flags)
        self.results.add(await self._exec(fetcher, "prepare", run, "look into the result store"))

    async def finished(self, job: Job, host: Host) -> list[str]:
        """Take the cases that a job had finished when it was cut off; returns them."""
        generation, outcomes = self._generation, self.results.outcomes
        names = set(outcomes)
        if generation.verify:  # they were made once, and not yet twice
            return []
        since = {"fresh": False, "since": generation.started} if generation.fresh else {}
        await self.missing(self.results.rest(job), host, **since)
        cases = [name for name, outcome in outcomes.items() if name not in names and "record" in outcome]
        for name in cases:
            record = outcomes[name]["record"]  # type: ignore[typeddict-item]  # since it is there
            if record["process"]["started"] >= generation.started:
                outcomes[name] = {"event": "done", "case": name, "record": record}
        return cases

    async def salvage(self) -> None:
        """Take the cases that jobs had finished when the call's time was up."""
        for job in self._generation.jobs:
            await self.finished(job, self._generation.host)

    async def keep(self, artifact: dagger.Directory) -> None:
        """Take the results of another engine into the store here, so that they survive whatever comes later."""
        await self.keeper().with_mounted_directory(PREVIOUS, artifact).with_exec(KEEP).sync()

    def keeper(self) -> dagger.Container:
        """A container in which KEEP takes what lies in PREVIOUS into the store here."""
        run = json.dumps(self._generation.run([], store=STORE, previous=PREVIOUS) | {"fresh": False})
        return self._with_volumes(self._fetcher, []).with_file(RUN, transfer.file(run))

    async def _exec(self, container: dagger.Container, step: str, run: str, title: str) -> Step:
        """One step of the runner, shown by this `title`. Never raises for a failed step: its files would be lost."""
        container = spans.watched(container)
        # A program reads the lines of the log while they come, and what is folded does not come.
        with spans.job(title) if self._settings.events else spans.step(title):
            result = (
                await container.with_file(RUN, transfer.file(run))
                .with_exec(
                    ["python", "-m", "gt_runner", step, RUN, "--events-file", EVENTS], expect=dagger.ReturnType.ANY
                )
                .sync()
            )
            events: list[Event] = list(events_in((await result.file(EVENTS).contents()).splitlines()))
            if not events and await result.exit_code():
                events = [*_unstarted(json.loads(run), await result.stderr())]
        for event in events:
            if event["event"] == "failed":
                event["reason"] = of_the_module(event["reason"])
        if not any("record" in event for event in events):
            return Step(events, None, None)
        return Step(events, result.directory(OUT), None if self._settings.trace is None else result.directory(TRACES))

    def _run(self, jobs: Sequence[Mapping[str, Any]], **flags: Any) -> str:
        code = any("code" in case for job in jobs for case in job["cases"])
        places = {"store": STORE, "cache": CACHE, "deliver": OUT}
        previous = PREVIOUS if self._settings.previous is not None else None
        checkout = self._settings.engine
        serving = {} if checkout is None else {"serving": ENGINE, "serving_identity": checkout.identity}
        run = self._generation.run(jobs, models=MODELS if code else None, previous=previous, **places, **serving)
        trace = {} if self._settings.trace is None else {"trace": self._settings.trace}
        return json.dumps(run | trace | flags)

    def _with_volumes(self, container: dagger.Container, jobs: Sequence[Job]) -> dagger.Container:
        container = container.with_env_variable("GT_NONCE", self._generation.nonce)
        if self._settings.events:
            container = container.with_env_variable("GT_EVENTS_ON_STDERR", "1")
        container = mounted(container, {WEIGHTS: self._settings.weights, STORE: self._settings.results})
        container = container.with_directory(CASES, self._settings.cases).with_new_file(EVENTS, "")
        for source, code in {job.source: case.code for job in jobs for case in job.cases if case.code}.items():
            container = container.with_mounted_directory(f"{MODELS}/{code.repo}", self._code(source, code))
        return container

    def _code(self, source: str, code: Code) -> dagger.Directory:
        """The official implementation: the caller's directory, else its repository at the pin."""
        directory = self._settings.code.get(source)
        return directory or dag.git(f"https://github.com/{code.repo}").commit(code.commit).tree(discard_git_dir=True)

    def _with_network(self, container: dagger.Container, jobs: Sequence[Job]) -> dagger.Container:
        """For what fetches, and has the token: the fetch phase, and an engine that makes native cases."""
        container = with_hub(self._with_volumes(container, jobs), self._settings.token, self._settings.hf_endpoint)
        previous = self._settings.previous
        return container if previous is None else container.with_mounted_directory(PREVIOUS, previous)


def _unstarted(run: Mapping[str, Any], log: str) -> Iterator[Ending]:
    """A runner that did not even start, such as that of an image which holds none, fails each of its cases."""
    reason, end = "its runner did not start", log.splitlines()[-LOG:]
    for case in [case for job in run["jobs"] for case in job["cases"]]:
        yield {"event": "failed", "case": case["id"], "phase": "load", "reason": reason, "log": end}


def _locked(container: dagger.Container, devices: Sequence[str]) -> dagger.Container:
    """Keep other calls off these GPUs: a locked volume for each, in one order, so that no two calls wait in a ring."""
    for device in sorted(devices, key=int):
        volume = dag.cache_volume(f"diffusion-gt-gpu-{device}")
        container = container.with_mounted_cache(f"/gt/gpu/{device}", volume, sharing=dagger.CacheSharingMode.LOCKED)
    return container
