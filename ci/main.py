"""The Dagger module: thin functions over the planning core, and over the engine that runs jobs."""

from __future__ import annotations

import io
import json
from typing import Annotated

import dagger
from dagger import DefaultPath, Doc, Ignore, Name, check, dag, function, object_type
from dagger.mod._exceptions import FunctionError  # what the SDK reports without a traceback
from rich.console import Console

from . import checks
from .arguments import (
    SOURCES,
    Artifact,
    BaseImage,
    CaseIds,
    Cases,
    EngineCheckout,
    EngineRef,
    HfEndpoint,
    HfToken,
    ImageList,
    LtxCode,
    WanCode,
    Weights,
)
from .artifact import manifest as manifests
from .catalogue import files
from .catalogue.model import Case
from .catalogue.selection import Selection, select
from .kinds import GpuKind, Source, SourceGroup
from .plainly import plainly
from .plan import host, jobs, workflow
from .plan.fleet import FleetHost
from .plan.fleet import check as check_hosts
from .plan.fleet import named as hosts_named
from .plan.fleet import read as read_fleet
from .plan.generation import Generation
from .plan.table import plan_table
from .run import transfer
from .run.hosts.call import Connection
from .run.images import WEIGHTS, Images, mounted
from .run.on_engine import Settings, probe
from .run.recipes import published
from .run.session import Limits, finished
from .run.session import generate as run
from .verbs import Verbs
from .verdicts import Verdicts

Official = Annotated[bool, Doc("Official cases; without it, the native mode's.")]
Group = Annotated[SourceGroup, Doc("A named selection of cases.")]
On = Annotated[GpuKind, Doc("Run on this GPU kind whatever a case needs; the manifest says so.")]
PerCase = Annotated[bool, Doc("A job for each case, instead of one for each model or part of a suite.")]
Checkout = Annotated[
    dagger.Directory,
    DefaultPath("/"),
    Ignore([".git", ".venv", "**/__pycache__", ".*_cache", "gt"]),
    Doc("This repository."),
]
LAST_WORDS = 2_000  # characters of a failed check


async def _select(folder: dagger.Directory, selection: Selection) -> list[Case]:
    return select(files.load(await transfer.exported(folder, "cases")), selection)


def _selection(official: bool, case_ids: list[str], source_group: SourceGroup) -> Selection:
    return Selection(official, " ".join(case_ids), source_group.value)


def _kind(on: GpuKind) -> str | None:
    return None if on is GpuKind.NEEDED else on.value


def _where(job: jobs.Job) -> str:
    return "this engine" if job.gpu in (host.ANY, host.CPU) else f"this engine, if it has {job.gpu}"


async def _fleet(file: dagger.File) -> list[FleetHost]:
    return read_fleet(await file.name(), (await file.contents()).encode())


async def _checked(name: str, checkout: dagger.Directory) -> None:
    try:
        await checks.check(name, checkout).sync()
    except dagger.ExecError as error:
        raise FunctionError(
            f"{name}: what the command said last:\n{(error.stdout + error.stderr)[-LAST_WORDS:]}"
        ) from None


@object_type
class DiffusionGt(Verbs, Verdicts):
    """Ground truth for diffusion serving engines, made by the official implementation of each model."""

    # Never cached: what is there already is looked up in the result store, by key. The engine's cache of calls knows
    # nothing of a model that moved, a store that is gone or a case that failed.
    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # the stubs of 0.21.8 lack it
    async def generate(
        self,
        cases: Cases,
        official: Official = False,
        case_ids: CaseIds = [],  # noqa: B006  # the SDK reads the default, nobody changes it
        source_group: Group = SourceGroup.ALL,
        on: On = GpuKind.NEEDED,
        per_case: PerCase = False,
        previous: Annotated[
            dagger.Directory | None, Doc("An earlier artifact; what it holds is not made again.")
        ] = None,
        fresh: Annotated[bool, Doc("Make every case again, whatever is there already.")] = False,
        verify: Annotated[bool, Doc("Make every case twice, and say in the manifest whether it is the same.")] = False,
        only_finished: Annotated[bool, Doc("Give what is finished already; fetch nothing, make nothing.")] = False,
        hf_token: HfToken = None,
        hf_endpoint: HfEndpoint = "",
        weights: Weights = None,
        results: Annotated[
            dagger.CacheVolume | None, Doc("The cache volume of the result store; one of ours if not given.")
        ] = None,
        wan_code: WanCode = None,
        ltx_code: LtxCode = None,
        engine: EngineCheckout = None,
        engine_ref: EngineRef = "",
        base_image: BaseImage = "",
        images: ImageList = [],  # noqa: B006
        parallel: Annotated[
            int, Doc("Jobs that generate side by side; 0: as many as the GPUs allow, one without GPUs.")
        ] = 0,
        skip_preflight: Annotated[
            bool, Doc("Do not look first whether models are open to the token and fit onto the disk.")
        ] = False,
        devices: Annotated[
            list[str], Doc("GPUs of this engine that may be used, by number; all if none is named.")
        ] = [],  # noqa: B006
        events: Annotated[
            bool, Doc("Write each event of the runner into the log as JSON too, for a program that reads it.")
        ] = False,
        host_list: Annotated[
            list[str],
            Name("host"),
            Doc("GPU hosts to send jobs to, as KIND=tls://NAME:PORT; any=… for whatever it is."),
        ] = [],  # noqa: B006
        fleet_file: Annotated[dagger.File | None, Name("fleet"), Doc("A file of GPU hosts, see docs/hosts.md.")] = None,
        tunnels: Annotated[
            list[dagger.Service], Doc("The loopback addresses among the hosts, once more and in their order.")
        ] = [],  # noqa: B006
        tls_ca: Annotated[dagger.Secret | None, Doc("CA certificate of the hosts, PEM.")] = None,
        tls_cert: Annotated[dagger.Secret | None, Doc("Client certificate that the hosts trust, PEM.")] = None,
        tls_key: Annotated[dagger.Secret | None, Doc("Its key, PEM.")] = None,
        insecure_hosts: Annotated[
            bool, Doc("Allow tcp:// hosts beyond loopback: whoever reaches such an engine is root on its machine.")
        ] = False,
        max_minutes: Annotated[
            float, Doc("End the call after this time, with what is finished by then; 0: no limit.")
        ] = 0,
    ) -> dagger.Directory:
        """Generate images and manifest.json; a failed case stands in the manifest, `verdict` turns it into an error."""
        with plainly():
            selection = _selection(official, case_ids, source_group)
            chosen = await _select(cases, selection)
            built = Images(base_image, published(images, {*SOURCES, *(case.source for case in chosen)}))
            makes = next((case.engine for case in chosen if case.engine is not None), None)
            kind = _kind(on)
            here = host.Host(host.CPU) if kind == host.CPU else await probe(built.base())
            generation = Generation(
                selection, chosen, jobs.plan(chosen, per_case=per_case, on=kind), here, kind, fresh, verify
            )
            code = {"wan21": wan_code, "ltx": ltx_code}
            settings = Settings(
                cases=cases,
                weights=weights or dag.cache_volume("diffusion-gt-weights"),
                results=results or dag.cache_volume("diffusion-gt-results"),
                code={source: given for source, given in code.items() if given is not None},
                engine=await built.checkout(makes, engine, engine_ref) if makes is not None else None,
                previous=previous,
                token=hf_token,
                hf_endpoint=hf_endpoint,
                parallel=parallel,
                images=images,
                devices=devices,
                events=events,
            )
            if only_finished:
                return await finished(generation, settings, built)
            keys = (tls_ca, tls_cert, tls_key)
            tls, token = all(key is not None for key in keys), hf_token is not None
            entries = [*hosts_named(host_list), *(await _fleet(fleet_file) if fleet_file else [])]
            check_hosts(entries, insecure=insecure_hosts, tls=tls, token=token, tunnels=len(tunnels))
            near = [entry.name for entry in entries if entry.loopback]
            connection = Connection(*keys, tunnels=dict(zip(near, tunnels, strict=True)))
            limits = Limits(preflight=not skip_preflight, max_minutes=max_minutes)
            return await run(generation, settings, built, entries, connection, limits)

    # Cached as long as Dagger likes, like the next four: pure functions of their arguments and of this module.
    @function
    async def verdict(self, artifact: Artifact) -> str:
        """Raise, with a line for each, if a selected case of an artifact failed or is missing."""
        with plainly():
            problems = manifests.verdict(await transfer.exported(artifact, "gt"))
            if problems:
                raise FunctionError("\n".join(problems))
            return "the artifact is whole"

    @function
    async def matrix(
        self,
        cases: Cases,
        official: Official = False,
        case_ids: CaseIds = [],  # noqa: B006
        source_group: Group = SourceGroup.ALL,
        on: On = GpuKind.NEEDED,
        per_case: PerCase = False,
    ) -> str:
        """The jobs as CI matrix JSON: {"include": [...]}."""
        with plainly():
            chosen = await _select(cases, _selection(official, case_ids, source_group))
            return json.dumps(jobs.matrix(jobs.plan(chosen, per_case=per_case, on=_kind(on))))

    @function
    async def plan(
        self,
        cases: Cases,
        official: Official = False,
        case_ids: CaseIds = [],  # noqa: B006
        source_group: Group = SourceGroup.ALL,
        on: On = GpuKind.NEEDED,
        per_case: PerCase = False,
    ) -> str:
        """What would run, as a table: case, model, GPU kind, host and expected minutes."""
        with plainly():
            chosen = await _select(cases, _selection(official, case_ids, source_group))
            planned = jobs.plan(chosen, per_case=per_case, on=_kind(on))
            text = io.StringIO()
            Console(file=text, width=180).print(plan_table(planned, _where))
            return text.getvalue()

    @function
    def concurrency_key(
        self,
        ref: Annotated[str, Doc("Ref of the CI run.")] = "",
        output_name: Annotated[str, Doc("Name of the run's output.")] = "",
        case_ids: Annotated[str, Doc("The workflow's filter, as it was typed.")] = "",
        official_case_ids: Annotated[str, Doc("The workflow's filter of official cases, as it was typed.")] = "",
        source_group: Annotated[str, Doc("The workflow's group, as it was typed.")] = "",
        official: Official = False,
        publish_target_dir: Annotated[str, Doc("The workflow's publish directory, as it was typed.")] = "",
        all_inputs: Annotated[bool, Doc("A key over all inputs, not the first one set.")] = False,
    ) -> str:
        """The key of a CI run: a newer run of the same key cancels the older one."""
        inputs = workflow.WorkflowInputs(
            ref, output_name, case_ids, official_case_ids, source_group, official, publish_target_dir
        )
        return workflow.concurrency_key(inputs, all_inputs=all_inputs)

    @function
    def publish_target(
        self,
        official: Official = False,
        publish_target_dir: Annotated[str, Doc("Publish here, instead of the mode's directory.")] = "",
    ) -> str:
        """The directory of the data repository that a run publishes to."""
        inputs = workflow.WorkflowInputs(official=official, publish_target_dir=publish_target_dir)
        return workflow.publish_target(inputs)

    # Cached for the session only: a base image that is named by its tag may be another one tomorrow.
    @function(cache="session")  # type: ignore[call-overload, untyped-decorator]
    async def runner(
        self,
        source: Annotated[Source, Doc("Whose runner.")],
        weights: Weights = None,
        base_image: BaseImage = "",
        images: ImageList = [],  # noqa: B006
    ) -> dagger.Container:
        """The container that runs a source's cases, with the weights: open a terminal in it, or run it anywhere."""
        with plainly():
            built = await Images(base_image, published(images, SOURCES)).image(source.value)
            return mounted(built.container, {WEIGHTS: weights or dag.cache_volume("diffusion-gt-weights")})

    @function
    @check
    async def lint(self, checkout: Checkout) -> None:
        """Check style and format of this repository."""
        await _checked("lint", checkout)

    @function
    @check
    async def types(self, checkout: Checkout) -> None:
        """Check the types of this repository."""
        await _checked("types", checkout)

    @function
    @check
    async def tests(self, checkout: Checkout) -> None:
        """Run the tests of this repository, but for those that need an engine."""
        await _checked("tests", checkout)

    @function
    @check
    async def schemas(self, checkout: Checkout) -> None:
        """Check that the published JSON Schemas are those of the models."""
        await _checked("schemas", checkout)
