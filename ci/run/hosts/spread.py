"""Spreads a generation's jobs over GPU hosts, and brings the results back as each job finishes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio
import dagger

from ...artifact import manifest as manifests
from ...artifact.records import RemoteRecord
from ...plan.fleet import FleetHost
from ...plan.generation import Generation, now
from ...plan.jobs import Job
from .. import spans
from ..on_engine import CASES, Engine, Settings
from .call import Nested, RefusedError
from .dispatch import Dispatch, HostFaultError, Place, homeless

if TYPE_CHECKING:  # the runner has a container of its own
    from gt_runner.events import Ending

CODES = "/gt/code"  # a folder for each official repository that the caller gave, and for the engine's checkout
# The arguments that take such a repository, by source.
CODE = {"wan21": "wan-code", "wan22": "wan22-code", "ltx": "ltx-code"}

log = logging.getLogger(__name__)


async def look(hosts: Sequence[FleetHost], nested: Nested) -> tuple[list[Place], dict[str, str]]:
    """Look at all hosts at once: those that answered, in their order, and what is wrong with the others, by name."""
    places: dict[str, Place] = {}
    faults: dict[str, str] = {}

    async def one(host: FleetHost) -> None:
        try:
            places[host.name] = await nested.look(host)
        except HostFaultError as error:
            faults[host.name] = str(error)
            log.warning("host %s is left out: %s", host.name, error)

    async with anyio.create_task_group() as group:
        for host in hosts:
            group.start_soon(one, host)
    return [places[host.name] for host in hosts if host.name in places], faults


class Spread:
    """One generation over several hosts, and over this engine too if it has GPUs."""

    def __init__(
        self, generation: Generation, settings: Settings, engine: Engine, nested: Nested, places: Sequence[Place]
    ) -> None:
        self._generation, self._settings, self._engine, self._nested = generation, settings, engine, nested
        self._places = [*places, *([Place("this engine", generation.host)] if generation.host.gpus else [])]
        self._dispatch = Dispatch(generation.jobs, self._places)
        self.moves = self._dispatch.moves
        self._hosts: dict[str, RemoteRecord] = {}
        self._assignments: list[tuple[Job, Place]] = []

    def misplaced(self, faults: Mapping[str, str]) -> list[str]:
        """If no host may run a job: the bad hosts and what is wrong with them, and the cases of such jobs."""
        jobs = homeless(self._generation.jobs, self._places)
        if not jobs:
            return []
        needs = [f"  {case.id} needs {job.gpus} x {job.gpu}" for job in jobs for case in job.cases]
        omissions = [f"host {name} is left out: {reason}" for name, reason in faults.items()]
        places = ", ".join(f"{place.name} ({place.machine.gpus} x {place.machine.kind})" for place in self._places)
        return [*omissions, f"no host has what these cases need; there are: {places or 'none'}", *needs]

    async def generate(self) -> None:
        """Run every job on a host."""

        async def run_job(job: Job, place: Place, devices: list[str]) -> None:
            self._assignments.append((job, place))
            if place.host is None:
                await self._engine.run_job(job, devices)
            else:
                with spans.job(f"{job.name} on {place.name}"):
                    await self._run_there(job, place, place.host, devices)

        await self._engine.plan()
        await self._dispatch.run(run_job)
        for job, reason in self._dispatch.leftovers:
            self._engine.results.fail([case.id for case in job.cases], reason)

    async def salvage(self) -> None:
        """Take what the jobs that the call's end cut off had finished."""
        for job, place in self._assignments:
            await self._finished(job, place)

    async def _finished(self, job: Job, place: Place) -> None:
        cases = await self._engine.finished(job, place.machine)
        if place.host is not None:
            self._hosts[place.name].cases.extend(cases)

    async def _run_there(self, job: Job, place: Place, host: FleetHost, devices: Sequence[str]) -> None:
        machine = place.machine
        record = RemoteRecord(
            name=place.name,
            gpu=machine.kind,
            gpu_name=machine.gpu_name or None,
            engine=place.engine,
            cases=[],
            started=now(),
        )
        record = self._hosts.setdefault(place.name, record)
        job = self._engine.results.rest(job)
        names = [case.id for case in job.cases]
        try:
            if not self._generation.anew:
                names = await self._engine.missing(job, machine)
            if names:
                flags = {"--fresh": self._generation.fresh, "--verify": self._generation.verify}
                options = {"--case-ids": ",".join(names), "--devices": ",".join(devices)}
                manner = [*(flag for flag, on in flags.items() if on), *_given(options), "--events"]
                label = f"{place.name} {job.name}"
                artifact = await self._nested.generate(host, label, self._container(), self._arguments(job), manner)
                record.cases.extend(await self._collect(artifact, place.name))
        except RefusedError as error:
            self._engine.results.fail(names, f"{place.name} refused: {error}")
        except HostFaultError:
            await self._finished(job, place)
            raise
        finally:
            self._hosts[place.name] = record.model_copy(update={"ended": now()})

    async def _collect(self, artifact: dagger.Directory, name: str) -> Iterable[str]:
        """Take what a host of this name delivered; returns its cases."""
        with spans.step("keep"):
            await self._engine.keep(artifact)
            manifest = manifests.parse(await artifact.file(manifests.NAME).contents(), name)
        results = self._engine.results
        for case, record in manifest.cases.items():
            if record.status == "ok":
                whole = json.loads(record.model_dump_json())
                reused: Ending = {"event": "reused", "case": case, "record": whole}
                done: Ending = {"event": "done", "case": case, "record": whole}
                results.outcomes[case] = done if case in manifest.run.made else reused
            else:
                results.fail([case], record.reason or "", record.log)
        results.directories.append(artifact.without_file(manifests.NAME))
        return manifest.cases

    def _arguments(self, job: Job) -> list[str]:
        """What of `generate` a host is asked for, but for the cases."""
        generation, settings = self._generation, self._settings
        options = {
            "--cases": CASES,
            "--source-group": "smoke" if job.source == "smoke" else "all",
            "--on": generation.on,
            "--hf-endpoint": settings.hf_endpoint,
            "--hf-token": "env:HF_TOKEN" if settings.token is not None else None,
            "--base-image": self._nested.reference,
            "--images": ",".join(settings.images),
            **{f"--{CODE[source]}": f"{CODES}/{source}" for source in settings.code},
        }
        if settings.engine is not None:
            commit = settings.engine.commit
            options |= {"--engine-ref": commit} if commit else {"--engine": f"{CODES}/engine"}
        return [*(["--official"] if generation.selection.official else []), *_given(options)]

    def _container(self) -> dagger.Container:
        """The runner here, with what the arguments refer to."""
        settings, container = self._settings, self._engine.keeper()
        for source, code in settings.code.items():
            container = container.with_mounted_directory(f"{CODES}/{source}", code)
        if settings.engine is not None and settings.engine.commit is None:
            container = container.with_mounted_directory(f"{CODES}/engine", settings.engine.folder)
        if settings.token is not None:
            container = container.with_secret_variable("HF_TOKEN", settings.token)
        return container

    @property
    def hosts(self) -> list[RemoteRecord]:
        """Those that ran something, for the manifest."""
        return [record for record in self._hosts.values() if record.cases]


def _given(options: Mapping[str, str | None]) -> list[str]:
    return [part for name, value in options.items() if value for part in (name, value)]
