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
from .on_engine import Engine, Settings
from .results import Results

GPU_HINT = (
    "an engine has GPUs when it was started with _EXPERIMENTAL_DAGGER_GPU_SUPPORT=1 on a machine with NVIDIA's "
    "container toolkit; see docs/run/dagger.md, GPU engines"
)


@dataclass(frozen=True)
class Session:
    """One call of the module that makes cases: what of, and by what."""

    generation: Generation
    settings: Settings
    images: Images
    hosts: Sequence[FleetHost] = ()
    connection: Connection = Connection()
    preflight: bool = True
    max_minutes: float = 0  # 0: no limit

    async def generate(self) -> tuple[dagger.Directory, Manifest]:
        """The artifact and its manifest.

        Raises PreflightError with everything that is in the way, before anything runs.
        """
        results, manifest = await self._run()
        return await _artifact(results.directories, manifest), manifest

    async def trace(self) -> tuple[dagger.Directory, Mapping[str, Any], Manifest]:
        """The traces of the cases, their index, and the manifest that their artifact would have.

        Raises PreflightError.
        """
        results, manifest = await self._run()
        index = traces.merged([json.loads(await each.file(traces.NAME).contents()) for each in results.traces])
        directory = _stacked(results.traces)
        return await directory.with_file(traces.NAME, transfer.file(traces.text(index))).sync(), index, manifest

    async def finished(self) -> tuple[dagger.Directory, Manifest]:
        """The artifact of the cases that are finished already. Raises GtError for --fresh and --verify."""
        self.generation.only_looked_at()
        engine = self._engine()
        await engine.look()
        self.generation.skip_others(engine.results.outcomes, UNFINISHED)
        manifest = self._manifest(engine.results, await dag.version(), await module_tool())
        return await _artifact(engine.results.directories, manifest), manifest

    async def _run(self) -> tuple[Results, Manifest]:
        generation, engine = self.generation, self._engine()
        with spans.step("this engine and this module"):
            version, tool = await dag.version(), await module_tool()
        spread, lines = await self._placed(engine, version)
        lines += inputs.obstacles(generation.cases)
        if spread is None and not (lines or generation.anew):
            await engine.look()
        obstacles = await engine.obstacles(elsewhere=spread is not None) if self.preflight else []
        if lines or obstacles:
            raise PreflightError(obstacles, lines)
        with anyio.move_on_after(self.max_minutes * 60 or None) as limit:
            await (spread or engine).generate()
        if limit.cancelled_caught:
            await (spread or engine).salvage()
            generation.skip_others(engine.results.outcomes, f"not finished within --max-minutes {self.max_minutes:g}")
        return engine.results, self._manifest(engine.results, version, tool, spread)

    def _engine(self) -> Engine:
        return Engine(self.generation, self.settings, self.images)

    async def _placed(self, engine: Engine, version: str) -> tuple[Spread | None, list[str]]:
        """The spread over hosts if there are any, and the cases that neither they nor this engine may run."""
        generation = self.generation
        if not self.hosts:
            hints = [] if generation.host.gpus else [GPU_HINT]
            return None, host.misplaced(generation.cases, generation.host, generation.on, "this engine", hints)
        nested = Nested(self.images.base(), await self.images.reference(), version, self.connection)
        places, bad = await look(self.hosts, nested)
        spread = Spread(generation, self.settings, engine, nested, places)
        return spread, spread.misplaced(bad)

    def _manifest(self, results: Results, version: str, tool: Tool, spread: Spread | None = None) -> Manifest:
        hosts, moves = (spread.hosts, spread.moves) if spread is not None else ([], [])
        ref = self.settings.engine.ref if self.settings.engine is not None else None
        return manifest_of(self.generation, results.outcomes, version, hosts, moves, tool, ref)


async def module_tool() -> Tool:
    """This diffusion-gt, by what an engine knows of a module that it runs: a digest of its source."""
    return of_module(await dag.current_module().source().digest())


async def _artifact(directories: Sequence[dagger.Directory], manifest: Manifest) -> dagger.Directory:
    with spans.step("artifact"):
        return await _stacked(directories).with_file(manifests.NAME, transfer.file(manifest.text())).sync()


def _stacked(directories: Sequence[dagger.Directory]) -> dagger.Directory:
    result = dag.directory()
    for directory in directories:
        result = result.with_directory("/", directory)
    return result
