"""The engine's body of trace."""

from __future__ import annotations

from dataclasses import dataclass, replace

import dagger

from ..artifact import traces
from ..artifact.tool import version
from ..artifact.verdict import bad_lines
from ..errors import GtError
from ..run.on_engine import TRACES
from ..run.session import Session
from .answers import say
from .generate_on_engine import MakingOnEngine, engine_host, near_cases
from .images import runner_images
from .trace import Trace


@dataclass(frozen=True, kw_only=True)
class TraceOnEngine(MakingOnEngine, Trace):
    """In containers of this engine."""

    async def run_on_engine(self) -> dagger.Directory:
        """The traces of all cases that could be made. Raises GtError where none could, or nothing was kept."""
        verb = replace(self, cases=await near_cases(self.cases))
        images = runner_images(self.base_image, self.images)
        generation = verb.generation(await engine_host(images, self.kind, self.devices))
        tracing = self.tracing.as_runner_reads_it(TRACES, version())
        settings = replace(self.settings(self.cases, None), trace=tracing)
        session = Session(generation, settings, images, preflight=not self.skip_preflight)
        directory, index, manifest = await session.trace()
        cases = traces.traced(index, manifest)
        problems = [*bad_lines(manifest), *self.tracing.unmet(cases)]
        if problems and not any(case["stages"] for case in cases.values()):
            raise GtError("\n".join(problems))
        for line in problems:
            say(line)
        return directory
