"""Spreads a generation's jobs over GPU hosts, and brings the results back as each job finishes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import dagger

from ...artifact import manifest as manifests
from ...artifact.records import MoveRecord, RemoteRecord
from ...plan.fleet import FleetHost
from ...plan.generation import Generation, now
from ...plan.host import Host
from ...plan.jobs import Job
from ..images import Checkout
from ..on_engine import CASES, KEEP, Engine, Results, Settings, unsettled
from .call import Call, Nested, RefusedError, RemoteHost
from .dispatch import Dispatch, HostFaultError, Place, homeless

if TYPE_CHECKING:  # the runner has a container of its own
    from gt_runner.events import Ending

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Here:
    """The engine that runs the module, as one of the hosts."""

    kind: str
    gpus: int
    name: str = "this engine"


@dataclass(frozen=True)
class Hosts:
    """The hosts that answered, and what is wrong with the others."""

    good: list[RemoteHost]
    bad: dict[str, str]


async def look(hosts: Sequence[FleetHost], nested: Nested) -> Hosts:
    """Look at all hosts at once; the good ones stay in their order."""
    answered: dict[str, RemoteHost] = {}
    bad: dict[str, str] = {}

    async def one(host: FleetHost) -> None:
        try:
            answered[host.name] = await nested.look(host)
        except HostFaultError as error:
            bad[host.name] = str(error)
            log.warning("host %s is left out: %s", host.name, error)

    async with anyio.create_task_group() as group:
        for host in hosts:
            group.start_soon(one, host)
    return Hosts([answered[host.name] for host in hosts if host.name in answered], bad)


def places(hosts: Hosts, here: Host) -> list[Place]:
    """Every host that takes jobs: this engine too, if it has GPUs."""
    return [*hosts.good, *([Here(here.kind, here.gpus)] if here.gpus else [])]


class Spread:
    """One generation over several hosts."""

    def __init__(
        self, generation: Generation, settings: Settings, engine: Engine, nested: Nested, hosts: Hosts
    ) -> None:
        self._generation, self._settings = generation, settings
        self._engine, self._nested, self._found = engine, nested, hosts
        self._remotes = {remote.name: remote for remote in hosts.good}
        self._ran: dict[str, list[str]] = {}
        self._started: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        self._sent: dict[str, tuple[Job, RemoteHost | None]] = {}
        self._places = places(hosts, generation.host)
        self._dispatch = Dispatch(generation.jobs, self._places)

    def misplaced(self) -> list[str]:
        """Hosts that are left out, if a job has no other, and the cases that no host may run."""
        lost = homeless(self._generation.jobs, self._places)
        if not lost:
            return []
        needs = [f"  {case.id} needs {job.gpus} x {job.gpu}" for job in lost for case in job.cases]
        bad = [f"host {name} is left out: {reason}" for name, reason in self._found.bad.items()]
        offered = ", ".join(f"{place.name} ({place.gpus} x {place.kind})" for place in self._places) or "none"
        return [*bad, f"no host has what these cases need; there are: {offered}", *needs]

    async def generate(self, results: Results) -> None:
        """Run every job on a host."""

        async def run_job(job: Job, place: Place, devices: list[str]) -> None:
            remote = self._remotes.get(place.name)
            self._sent[job.name] = job, remote
            if remote is None:
                await self._engine.run_here(job, devices, results)
                return
            self._started.setdefault(remote.name, now())
            try:
                await self._run_there(unsettled(job, results), remote, devices, results)
            except HostFaultError:
                await self._finished(job, remote, results)
                raise
            finally:
                self._ended[remote.name] = now()

        await self._engine.plan()
        dispatched = await self._dispatch.run(run_job)
        for undone in dispatched.undone:
            _fail(results, [case.id for case in undone.job.cases], undone.reason)

    async def salvage(self, results: Results) -> None:
        """Take what the jobs that the call's end cut off had finished."""
        for job, remote in self._sent.values():
            await self._finished(job, remote, results)

    async def _finished(self, job: Job, remote: RemoteHost | None, results: Results) -> None:
        cases = await self._engine.finished(job, self._host(remote), results)
        if remote is not None and cases:
            self._credit(remote, cases)

    def _host(self, remote: RemoteHost | None) -> Host:
        """Where a job went, as its results are keyed."""
        return self._generation.host if remote is None else remote.machine

    def _credit(self, remote: RemoteHost, cases: Iterable[str]) -> None:
        self._ran.setdefault(remote.name, []).extend(cases)

    async def _run_there(self, job: Job, remote: RemoteHost, devices: list[str], results: Results) -> None:
        left = [case.id for case in job.cases]
        if not (self._generation.fresh or self._generation.verify):
            left = await self._engine.missing(job, self._host(remote), results)
        if not left:
            return
        try:
            artifact = await self._nested.generate(remote, f"{remote.name} {job.name}", self._call(job, left, devices))
        except RefusedError as error:
            _fail(results, left, f"{remote.name} refused: {error}")
            return
        await self._engine.keep(artifact)
        manifest = manifests.parse(await artifact.file(manifests.NAME).contents(), remote.name)
        for name, record in manifest.cases.items():
            if record.status == "ok":
                whole = json.loads(record.model_dump_json())
                reused: Ending = {"event": "reused", "case": name, "record": whole}
                done: Ending = {"event": "done", "case": name, "record": whole}
                results.outcomes[name] = done if name in manifest.run.made else reused
            else:
                _fail(results, [name], record.reason or "", record.log)
        results.directories.append(artifact.without_file(manifests.NAME))
        self._credit(remote, manifest.cases)

    def _call(self, job: Job, cases: Sequence[str], devices: Sequence[str]) -> Call:
        generation, settings = self._generation, self._settings
        options = {
            "--cases": CASES,
            "--source-group": "smoke" if job.source == "smoke" else "all",
            "--on": generation.on,
            "--hf-endpoint": settings.hf_endpoint,
            "--hf-token": "env:HF_TOKEN" if settings.token is not None else None,
            "--base-image": self._nested.reference,
            "--images": ",".join(settings.images),
            **{f"--{code}": f"/gt/code/{source}" for source, code in CODE.items() if source in settings.code},
            **_engine(settings.engine),
        }
        how = {"--fresh": generation.fresh, "--verify": generation.verify, "--events": True}
        return Call(
            container=self._prepared(self._engine.keeper()),
            cases=cases,
            arguments=[*(["--official"] if generation.selection.official else []), *_options(options)],
            making=[*(flag for flag, on in how.items() if on), *_options({"--devices": ",".join(devices)})],
            keep=KEEP,
        )

    def _prepared(self, container: dagger.Container) -> dagger.Container:
        settings = self._settings
        for source, code in settings.code.items():
            container = container.with_mounted_directory(f"/gt/code/{source}", code)
        if settings.engine is not None and settings.engine.commit is None:
            container = container.with_mounted_directory("/gt/code/engine", settings.engine.folder)
        if settings.token is not None:
            container = container.with_secret_variable("HF_TOKEN", settings.token)
        return container

    def records(self) -> list[RemoteRecord]:
        """The hosts that ran something, for the manifest."""
        return [
            RemoteRecord(
                name=name,
                gpu=remote.kind,
                gpu_name=remote.machine.gpu_name or None,
                engine=remote.engine,
                cases=cases,
                started=self._started[name],
                ended=self._ended[name],
            )
            for name, cases in self._ran.items()
            for remote in [self._remotes[name]]
        ]

    def moves(self) -> list[MoveRecord]:
        """The jobs that went on to another host, for the manifest."""
        return [
            MoveRecord(cases=[case.id for case in move.job.cases], host=move.host, reason=move.reason)
            for move in self._dispatch.result.moves
        ]


CODE = {"wan21": "wan-code", "ltx": "ltx-code"}  # the arguments that take an official repository, by source


def _engine(checkout: Checkout | None) -> dict[str, str]:
    """The options that name the checkout: its commit where there is one, else the folder itself."""
    if checkout is None:
        return {}
    return {"--engine-ref": checkout.commit} if checkout.commit else {"--engine": "/gt/code/engine"}


def _options(options: Mapping[str, str | None]) -> list[str]:
    return [part for name, value in options.items() if value for part in (name, value)]


def _fail(results: Results, cases: Iterable[str], reason: str, log: Sequence[str] = ()) -> None:
    for name in cases:
        failed: Ending = {"event": "failed", "case": name, "phase": "generate", "reason": reason, "log": list(log)}
        results.outcomes.setdefault(name, failed)
