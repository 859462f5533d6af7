"""The verb that keeps the tensors of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rich.filesize import decimal
from typing_extensions import Doc

from ..artifact import traces
from ..artifact.tool import version
from ..artifact.verdict import bad_lines
from ..plan import host
from ..plan.generation import Generation
from ..plan.tracing import Tracing
from ..run import on_machine
from ..run.progress import drawn
from ..words import counted
from .answers import Answer, say
from .options import Devices, Folder, Models, Written, path_of
from .plan import Chosen, SkipPreflight


@dataclass(frozen=True, kw_only=True)
class Trace(Chosen):
    """Run cases and keep their tensors, stage by stage: CASE.safetensors of each case, and trace.json.

    Prompt, noise, each step's latents and model output, and what the decoder gives, to find where another run first
    differs from this one. The images are the same bytes as without a trace; no artifact is written. `gt` exits with 0
    when every case is traced, 1 when some failed or no case has a stage that was asked for, 2 on bad input, 130 when it
    was interrupted.
    """

    stages: Annotated[
        tuple[str, ...], Doc("Only these stages, such as latents.0, decoded or latents.*; all if none is named.")
    ] = ()
    every: Annotated[int, Doc("Keep the steps 0, N, 2 N and so on.")] = 1
    devices: Devices = ()
    skip_preflight: SkipPreflight = False

    @property
    def tracing(self) -> Tracing:
        """What is kept."""
        return Tracing(self.stages, self.every)

    def generation(self, machine: host.Host) -> Generation:
        """The selected cases as jobs for a host, once it is said how large their traces will be. Raises GtError."""
        cases = self.select()
        self.tracing.check(cases)
        size = decimal(self.tracing.bytes(cases))
        say(f"traces of {counted(len(cases), 'case')}: up to some {size}; --stages and --every make them smaller")
        # Fresh: what the result store has tells nothing of its tensors.
        return Generation(self.selection, cases, self.jobs(cases), machine, self.kind, fresh=True)


@dataclass(frozen=True, kw_only=True)
class TraceOnMachine(Trace):
    """In this Python environment."""

    models: Models = None
    output: Annotated[Folder, Doc("The traces' directory; a run adds to the traces there."), Written()] = Folder(
        "traces"
    )

    def run(self) -> Answer:
        """How many cases are traced, and a line for each that is not, and for each stage that there is none of."""
        generation = self.generation(host.this_host(self.devices))
        host.check(generation.cases, generation.host, generation.on)
        traces.begin(self.output.path, [case.id for case in generation.cases])
        outcome = self._outcome(generation)
        cases = traces.traced(traces.read(self.output.path), outcome.manifest)
        problems = [*bad_lines(outcome.manifest), *self.tracing.unmet(cases)]
        total = traces.count(self.output.path, cases, len(generation.cases))
        return Answer("", [*problems, total], bool(problems), outcome.interrupted)

    def _outcome(self, generation: Generation) -> on_machine.Outcome:
        places = on_machine.Places(path_of(self.models), insist=bool(self.devices))
        trace = self.tracing.as_runner_reads_it(str(self.output.path.resolve()), version())
        with drawn(len(generation.cases)) as bars:
            return on_machine.generate(
                generation, places, bars.show if bars else None, preflight=not self.skip_preflight, trace=trace
            )
