"""Generates on an engine: checks hosts and models, runs every job, puts the artifact together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import dagger
from dagger import dag

from ..artifact import manifest as manifests
from ..artifact import traces
from ..artifact.assemble import manifest_of
from ..artifact.manifest import Manifest
from ..artifact.records import Tool
from ..artifact.tool import of_module
from ..catalogue import inputs
from ..errors import PreflightError
from ..plan import host
from ..plan.fleet import FleetHost
from ..plan.generation import UNFINISHED, Generation
from . import spans, transfer
from .hosts.call import Connection, Nested
from .hosts.spread import Spread, look
from .images import Images
from .on_engine import Engine, Results, Settings

GPU_HINT = (
    "an engine has GPUs when it was started with _EXPERIMENTAL_DAGGER_GPU_SUPPORT=1 on a machine with NVIDIA's "
    "container toolkit; see docs/run/dagger.md, GPU engines"
)


@dataclass(frozen=True)
class Limits:
    """The limits of a call."""

    preflight: bool = True
    max_minutes: float = 0  # 0: none


async def generate(
    generation: Generation,
    settings: Settings,
    images: Images,
    hosts: Sequence[FleetHost],
    connection: Connection,
    limits: Limits,
) -> tuple[dagger.Directory, Manifest]:
    """The artifact and its manifest. Raises PreflightError with everything that is in the way, before anything runs."""
    results, manifest = await _made(generation, settings, images, hosts, connection, limits)
    return await _artifact(results.directories, manifest), manifest


async def trace(
    generation: Generation, settings: Settings, images: Images, limits: Limits
) -> tuple[dagger.Directory, Mapping[str, Any], Manifest]:
    """The traces of the cases, their index, and the manifest that their artifact would have. Raises PreflightError."""
    results, manifest = await _made(generation, settings, images, [], Connection(), limits)
    index = traces.merged([json.loads(await each.file(traces.NAME).contents()) for each in results.traces])
    whole = _stacked(results.traces)
    return await whole.with_file(traces.NAME, transfer.file(traces.text(index))).sync(), index, manifest


async def _made(
    generation: Generation,
    settings: Settings,
    images: Images,
    hosts: Sequence[FleetHost],
    connection: Connection,
    limits: Limits,
) -> tuple[Results, Manifest]:
    with spans.step("this engine and this module"):
        version, tool = await dag.version(), await module_tool()
    engine, spread, lines = await _placed(generation, settings, images, hosts, connection, version)
    lines += inputs.obstacles(generation.cases)
    results = Results()
    if spread is None and not (lines or generation.fresh or generation.verify):
        await engine.look(results)
    obstacles = await engine.obstacles(results, elsewhere=spread is not None) if limits.preflight else []
    if lines or obstacles:
        raise PreflightError(obstacles, lines)
    with anyio.move_on_after(limits.max_minutes * 60 or None) as limit:
        await (spread or engine).generate(results)
    if limit.cancelled_caught:
        await (spread or engine).salvage(results)
        generation.skip_others(results.outcomes, f"not finished within --max-minutes {limits.max_minutes:g}")
    records, moves = (spread.hosts, spread.moves) if spread is not None else ([], [])
    return results, manifest_of(generation, results.outcomes, version, records, moves, tool, settings.engine_ref)


async def finished(generation: Generation, settings: Settings, images: Images) -> tuple[dagger.Directory, Manifest]:
    """The artifact of the cases that are finished already. Raises GtError for --fresh and --verify."""
    generation.only_looked_at()
    results = Results()
    await Engine(generation, settings, images).look(results)
    generation.skip_others(results.outcomes, UNFINISHED)
    version, tool = await dag.version(), await module_tool()
    manifest = manifest_of(generation, results.outcomes, version, tool=tool, engine_ref=settings.engine_ref)
    return await _artifact(results.directories, manifest), manifest


async def module_tool() -> Tool:
    """This diffusion-gt, by what an engine knows of a module that it runs: a digest of its source."""
    return of_module(await dag.current_module().source().digest())


async def _placed(
    generation: Generation,
    settings: Settings,
    images: Images,
    hosts: Sequence[FleetHost],
    connection: Connection,
    version: str,
) -> tuple[Engine, Spread | None, list[str]]:
    """The engine here, the spread over hosts if there are any, and the cases that neither may run."""
    if not hosts:
        hints = [] if generation.host.gpus else [GPU_HINT]
        lines = host.misplaced(generation.cases, generation.host, generation.on, "this engine", hints)
        return Engine(generation, settings, images), None, lines
    nested = Nested(images.base(), await images.reference(), version, connection)
    places, bad = await look(hosts, nested)
    engine = Engine(generation, settings, images)
    spread = Spread(generation, settings, engine, nested, places)
    return engine, spread, spread.misplaced(bad)


async def _artifact(directories: Sequence[dagger.Directory], manifest: Manifest) -> dagger.Directory:
    with spans.step("artifact"):
        return await _stacked(directories).with_file(manifests.NAME, transfer.file(manifest.text())).sync()


def _stacked(directories: Sequence[dagger.Directory]) -> dagger.Directory:
    whole = dag.directory()
    for directory in directories:
        whole = whole.with_directory("/", directory)
    return whole
