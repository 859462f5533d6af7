"""The verb that makes an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from typing_extensions import Doc

from ..artifact import folder
from ..artifact.manifest import Manifest
from ..artifact.verdict import bad_lines
from ..catalogue import files
from ..catalogue.files import Catalogue
from ..errors import GtError, SelectionError
from ..plan import advice, host
from ..plan.generation import Generation
from ..run import on_machine
from ..run.on_slurm.generate import Call
from ..run.on_slurm.waiting import Screen
from ..run.progress import drawn
from ..words import are, counted
from .answers import Answer, print_log, say
from .options import (
    GT,
    Devices,
    Folder,
    Models,
    ServingCheckout,
    Slurm,
    SlurmSite,
    Written,
    check_checkout,
    path_of,
    site_of,
)
from .plan import Chosen, SkipPreflight


@dataclass(frozen=True, kw_only=True)
class Generate(Chosen):
    """Generate images and manifest.json.

    `gt` exits with 0 when every case is there, 1 when some failed or were not the same twice (the artifact is whole all
    the same), 2 on bad input, 130 when it was interrupted. The module gives the artifact in each case, and `verdict`
    turns a failed case in it into an error.
    """

    engine: ServingCheckout = None
    previous: Annotated[Folder | None, Doc("An earlier artifact; what it holds is not made again.")] = None
    fresh: Annotated[bool, Doc("Make every case again, whatever is there already.")] = False
    verify: Annotated[bool, Doc("Make every case twice, and say in the manifest whether it is the same.")] = False
    devices: Devices = ()
    only_finished: Annotated[bool, Doc("Give what is finished already; fetch nothing, make nothing.")] = False
    skip_preflight: SkipPreflight = False

    @cached_property
    def catalogue(self) -> Catalogue:
        """All cases, whose inputs are looked at before anything runs. Raises CatalogueError."""
        return files.load(self.cases.path, with_inputs=True)

    def generation(self, machine: host.Host) -> Generation:
        """The selected cases as jobs for a host. Raises GtError for an option that has nothing to do with them."""
        cases = self.select()
        check_checkout(self.engine, native=any(case.serving is not None for case in cases))
        return Generation(self.selection, cases, self.jobs(cases), machine, self.kind, self.fresh, self.verify)


@dataclass(frozen=True, kw_only=True)
class GenerateOnMachine(Generate):
    """In this Python environment."""

    models: Models = None
    output: Annotated[Folder, Doc("The artifact's directory; a run adds to an artifact there."), Written()] = GT
    replace: Annotated[bool, Doc("Start that directory anew, instead of adding to it.")] = False
    slurm: Slurm = None
    slurm_site: SlurmSite = None
    detach: Annotated[bool, Doc("With --slurm: send the jobs and end; the same command without it waits for them.")] = (
        False
    )

    def run(self) -> Answer:
        """How many cases there are, and a line for each that is not."""
        self._check_options()
        with ThreadPoolExecutor() as pool:  # the driver takes as long to answer as the cases take to be read
            search = pool.submit(host.this_host, self.devices)
            catalogue = self.catalogue
        machine = search.result()
        if self.selection.is_open and self.engine is None:
            raise SelectionError(advice.offers(catalogue, machine))
        generation = self.generation(machine)
        if self.slurm is None:
            host.check(generation.cases, machine, self.kind, hints=advice.instead(catalogue, self.selection, machine))
        folder.check(self.output.path, generation, catalogue.of(self.selection.mode), replace=self.replace)
        models, previous, engine = map(path_of, (self.models, self.previous, self.engine))
        places = on_machine.Places(models, previous, engine=engine, insist=bool(self.devices))
        if self.slurm is None:
            return self._written(self._outcome(generation, places))
        call = Call(generation, places, site_of(self.slurm_site), self.slurm, not self.skip_preflight)
        if self.detach:
            return Answer("", detached(*call.detach()))
        return self._written(self._on_slurm(call))

    def _written(self, outcome: on_machine.Outcome) -> Answer:
        lines = folder.write(self.output.path, outcome.manifest, outcome.results, replace=self.replace)
        problems = bad_lines(outcome.manifest)
        total = count(outcome.manifest, f"in {self.output.path}")
        return Answer("", [*lines, *problems, total], bool(problems), outcome.interrupted)

    def _outcome(self, generation: Generation, places: on_machine.Places) -> on_machine.Outcome:
        if self.only_finished:
            return on_machine.finished(generation, places)
        with drawn(self._makings(generation)) as bars:
            return on_machine.generate(
                generation, places, bars.show if bars else None, preflight=not self.skip_preflight
            )

    def _on_slurm(self, call: Call) -> on_machine.Outcome:
        if self.only_finished:
            return call.finished()
        with drawn(self._makings(call.run)) as bars:
            lines = Screen(lambda _: None, say, print_log)
            return call.generate(lines if bars is None else Screen(bars.show, bars.say, lambda _: None))

    def _makings(self, generation: Generation) -> int:
        return len(generation.cases) * (2 if self.verify else 1)

    def _check_options(self) -> None:
        """Raises GtError for options that do not go together; the site file may stand in a variable, unused."""
        if self.slurm is None and self.detach:
            raise GtError("--detach goes with --slurm; add that, or leave it out")
        if self.detach and self.only_finished:
            raise GtError("--only-finished sends nothing; leave out --detach")
        if self.slurm is not None and self.devices:
            raise GtError("--devices names GPUs of this machine, and Slurm gives each task its own; leave one out")


def detached(finished: Sequence[str], arrays: Sequence[str]) -> list[str]:
    """What a call says that does not wait."""
    number = len(finished)
    prefix = f"{counted(number, 'case')} {are(number)} finished already; " if number else ""
    if not arrays:
        return [f"{prefix}nothing was sent: the same command without --detach writes the artifact"]
    names = ", ".join(arrays)
    return [f"{prefix}Slurm has the rest as {names}: the same command without --detach waits and writes the artifact"]


def count(manifest: Manifest, place: str) -> str:
    """How many cases a run has, and where they are."""
    number, total = sum(record.status == "ok" for record in manifest.cases.values()), len(manifest.cases)
    news = len(manifest.run.made)
    words = f"{counted(number, 'case', of=total)} {are(number, of=total)} {place}"
    return f"{words} ({news} made now, {number - news} made before)"
