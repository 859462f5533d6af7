"""The engine's body of trace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import dagger
from typing_extensions import Doc

from ..artifact import traces
from ..catalogue.gpus import CPU
from ..errors import GtError
from ..plan.host import Host
from ..run import recipes, session
from ..run.images import Images
from ..run.on_engine import TRACES, probe
from .generate import bad_lines
from .generate_on_engine import MakingOnEngine, near_folder
from .images import SOURCES
from .options import say
from .trace import Trace


@dataclass(frozen=True, kw_only=True)
class TraceOnEngine(MakingOnEngine, Trace):
    """In containers of this engine."""

    devices: Annotated[tuple[str, ...], Doc("GPUs of this engine to use, by number; all if none is named.")] = ()

    async def run_on_engine(self) -> dagger.Directory:
        """The traces of all cases that could be made. Raises GtError where none could."""
        near = replace(self, cases=await near_folder(self.cases, "cases"))
        built = Images(self.base_image, recipes.published(self.images, SOURCES))
        here = Host(CPU) if self.kind == CPU else await probe(built.base())
        generation = near.generation(here)
        kept = self.tracing.as_runner_reads_it(TRACES, traces.version())
        settings = replace(self.settings(self.cases, None, devices=self.devices), trace=kept)
        limits = session.Limits(preflight=not self.skip_preflight)
        directory, manifest = await session.trace(generation, settings, built, limits)
        problems = list(bad_lines(manifest))
        if len(problems) == len(manifest.cases):
            raise GtError("\n".join(problems))
        for line in problems:
            say(line)
        return directory
