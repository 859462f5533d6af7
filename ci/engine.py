"""Runs a generation's jobs on the engine that runs the module: fetch without a GPU, generate without network.

Every exec carries the call's nonce: what was run before is in the result store, where it is looked for by key, and
never taken from the engine's cache of execs, which knows nothing of weights that moved or a store that is gone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import dagger
from dagger import dag

from . import images
from .case import Code, TinyModel
from .containers import WEIGHTS, Image, Images, mounted
from .generation import ENDS, Event, Generation
from .host import CPU, QUERY, Host, host_of
from .jobs import Job

CASES, STORE, MODELS, PREVIOUS, OUT = "/gt/cases", "/gt/store", "/gt/models", "/gt/previous", "/gt/out"
RUN, EVENTS = "/gt/run.json", "/gt/events.jsonl"
FETCHING = 2  # jobs whose files are fetched at once: more share one line and evict each other's pages


@dataclass(frozen=True)
class Settings:
    """What the caller gave, beside the selection."""

    cases: dagger.Directory
    weights: dagger.CacheVolume
    results: dagger.CacheVolume
    code: Mapping[str, dagger.Directory] = field(default_factory=dict)  # by source
    previous: dagger.Directory | None = None
    token: dagger.Secret | None = None
    hf_endpoint: str = ""
    parallel: int = 0  # jobs that generate at once; 0: as many as the GPUs allow


async def probe(container: dagger.Container) -> Host:
    """The engine's GPUs, as the driver reports them; a host of kind cpu where it has none."""
    asking = container.with_env_variable("GT_NONCE", uuid.uuid4().hex).experimental_with_all_gp_us()
    try:
        return host_of(await asking.with_exec(list(QUERY)).stdout())
    except dagger.QueryError:  # no GPU support, or no driver
        return Host(CPU)


class Devices:
    """Gives each job the GPUs that it needs, all at once, so that two jobs never wait for each other."""

    def __init__(self, host: Host, parallel: int) -> None:
        self._free = [str(number) for number in range(host.gpus)]
        self._slots = parallel or max(1, host.gpus)
        self._freed = anyio.Condition()

    async def take(self, count: int) -> list[str]:
        """Wait for so many GPUs and a place; returns their numbers. Give them back."""
        async with self._freed:
            while self._slots < 1 or len(self._free) < count:
                await self._freed.wait()
            self._slots -= 1
            taken, self._free = self._free[:count], self._free[count:]
            return taken

    async def give_back(self, taken: list[str]) -> None:
        """Let the next job have them."""
        async with self._freed:
            self._slots += 1
            self._free = sorted([*self._free, *taken], key=int)
            self._freed.notify_all()


@dataclass
class Results:
    """What came back: the event that each case ended in, and the directories that hold the files."""

    outcomes: dict[str, Event] = field(default_factory=dict)
    directories: list[dagger.Directory] = field(default_factory=list)


class Engine:
    """One generation on one engine."""

    def __init__(self, generation: Generation, settings: Settings, built: Images) -> None:
        self._generation, self._settings, self._images = generation, settings, built
        self._devices = Devices(generation.host, settings.parallel)
        self._fetching = anyio.Semaphore(FETCHING)
        self._specs: dict[str, dict[str, Any]] = {}
        self._workers: dict[str, Image] = {}

    async def obstacles(self) -> list[str]:
        """Models that are closed to the token, and a disk that is too small; before a large image is built."""
        await self._plan()
        if all(isinstance(case.spec.model, TinyModel) for case in self._generation.cases):
            return []
        container = self._with_network(self._fetcher, self._generation.jobs)
        run = self._run([self._specs[job.name] for job in self._generation.jobs])
        asked = container.with_new_file(RUN, run).with_exec(["python", "-m", "gt_runner", "preflight", RUN])
        obstacles: list[str] = json.loads(await asked.stdout())
        return obstacles

    async def generate(self) -> Results:
        """Run all jobs."""
        await self._plan()
        results = Results()
        async with anyio.create_task_group() as group:
            for job in self._generation.jobs:
                group.start_soon(self._job, job, results)
        return results

    async def _plan(self) -> None:
        """Name the images. They are built when an exec needs them: a call that finds every result builds no torch."""
        if self._specs:
            return
        self._fetcher = (await self._images.image(images.FETCH)).container
        for source in {job.source for job in self._generation.jobs}:
            self._workers[source] = await self._images.image(source)
        for job in self._generation.jobs:
            self._specs[job.name] = self._generation.job(job, Path(CASES), self._workers[job.source].record)

    async def _job(self, job: Job, results: Results) -> None:
        spec = self._specs[job.name]
        async with self._fetching:
            fetcher = self._with_network(self._fetcher, [job])
            events = await self._exec(fetcher, "prepare", self._run([spec]), results)
        cases = {case["id"]: case for case in spec["cases"]}
        prepared = [
            {
                "case": cases[ready["case"]],
                "fetch_seconds": ready["seconds"],
                **{k: ready[k] for k in ("key", "fetched")},
            }
            for ready in events
            if ready["event"] == "ready"
        ]
        if not prepared:
            return
        ready = {**spec, "cases": [each["case"] for each in prepared], "prepared": prepared}
        devices = await self._devices.take(job.gpus if spec["device"] == "cuda" else 0)
        try:
            worker = self._with_volumes(self._workers[job.source].container, [job])
            if devices:
                worker = worker.experimental_with_gpu(devices)
            await self._exec(worker, "run", self._run([ready]), results)
        finally:
            await self._devices.give_back(devices)

    async def _exec(self, container: dagger.Container, step: str, run: str, results: Results) -> Sequence[Event]:
        """One step of the runner. It counts as a success whatever happened: a failed exec would lose its files."""
        ran = container.with_new_file(RUN, run).with_exec(
            ["python", "-m", "gt_runner", step, RUN, "--events-file", EVENTS], expect=dagger.ReturnType.ANY
        )
        await ran.sync()
        events = [json.loads(line) for line in (await ran.file(EVENTS).contents()).splitlines()]
        results.outcomes |= {event["case"]: event for event in events if event["event"] in ENDS}
        if any("record" in event for event in events):
            results.directories.append(ran.directory(OUT))
        return events

    def _run(self, jobs: Sequence[Mapping[str, Any]]) -> str:
        code = any("code" in case for job in jobs for case in job["cases"])
        places = {"store": STORE, "cache": f"{WEIGHTS}/diffusion-gt", "deliver": OUT}
        previous = PREVIOUS if self._settings.previous is not None else None
        return json.dumps(self._generation.run(jobs, models=MODELS if code else None, previous=previous, **places))

    def _with_volumes(self, container: dagger.Container, jobs: Sequence[Job]) -> dagger.Container:
        container = container.with_env_variable("GT_NONCE", self._generation.nonce)
        container = mounted(container, {WEIGHTS: self._settings.weights, STORE: self._settings.results})
        container = container.with_directory(CASES, self._settings.cases).with_new_file(EVENTS, "")
        for source, code in {job.source: case.code for job in jobs for case in job.cases if case.code}.items():
            container = container.with_mounted_directory(f"{MODELS}/{code.repo}", self._code(source, code))
        return container

    def _code(self, source: str, code: Code) -> dagger.Directory:
        """The official implementation: what the caller gave, else its repository at the pin."""
        given = self._settings.code.get(source)
        return given or dag.git(f"https://github.com/{code.repo}").commit(code.commit).tree(discard_git_dir=True)

    def _with_network(self, container: dagger.Container, jobs: Sequence[Job]) -> dagger.Container:
        """For the fetch phase: the only one that has the token."""
        container = self._with_volumes(container, jobs)
        settings = self._settings
        if settings.previous is not None:
            container = container.with_mounted_directory(PREVIOUS, settings.previous)
        if settings.hf_endpoint:
            container = container.with_env_variable("HF_ENDPOINT", settings.hf_endpoint)
        if settings.token is not None:
            container = container.with_secret_variable("HF_TOKEN", settings.token)
        return container
