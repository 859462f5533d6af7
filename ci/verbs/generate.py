"""The verb that makes an artifact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from rich.console import Console
from typing_extensions import Doc

from ..artifact import folder
from ..artifact.manifest import Manifest
from ..artifact.verdict import bad
from ..catalogue import files
from ..catalogue.files import Catalogue
from ..errors import SelectionError
from ..plan import advice, host, jobs
from ..plan.generation import Generation
from ..run import on_machine
from ..run.progress import Bars
from ..words import are, counted
from .options import GT, Answer, Devices, Folder, Models, ServingCheckout, Written, path_of
from .plan import Chosen


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
    skip_preflight: Annotated[
        bool, Doc("Do not look first whether models are open to the token and fit onto the disk.")
    ] = False

    @cached_property
    def catalogue(self) -> Catalogue:
        """All cases, whose inputs are looked at before anything runs. Raises CatalogueError."""
        return files.load(self.cases.path, with_inputs=True)

    def generation(self, here: host.Host) -> Generation:
        """The selected cases as jobs for a host."""
        cases = self.select()
        planned = jobs.plan(cases, per_case=self.per_case, on=self.kind)
        return Generation(self.selection, cases, planned, here, self.kind, self.fresh, self.verify)


@dataclass(frozen=True, kw_only=True)
class GenerateOnMachine(Generate):
    """In this Python environment."""

    models: Models = None
    output: Annotated[Folder, Doc("The artifact's directory; a run adds to an artifact there."), Written()] = GT
    replace: Annotated[bool, Doc("Start that directory anew, instead of adding to it.")] = False

    def run(self) -> Answer:
        """How many cases there are, and a line for each that is not."""
        here = host.this_host(self.devices)
        if self.selection.is_open and self.engine is None:
            raise SelectionError(advice.offers(self.catalogue, here))
        generation = self.generation(here)
        host.place(generation.cases, here, self.kind, hints=advice.instead(self.catalogue, self.selection, here))
        folder.check(self.output.path, generation, self.catalogue.of(self.selection.mode), replace=self.replace)
        models, previous, engine = map(path_of, (self.models, self.previous, self.engine))
        outcome = self._outcome(
            generation, on_machine.Places(models, previous, engine=engine, insist=bool(self.devices))
        )
        lines = folder.write(self.output.path, outcome.manifest, outcome.results, replace=self.replace)
        problems = list(bad_lines(outcome.manifest))
        total = count(outcome.manifest, f"in {self.output.path}")
        return Answer("", [*lines, *problems, total], bool(problems), outcome.interrupted)

    def _outcome(self, generation: Generation, places: on_machine.Places) -> on_machine.Outcome:
        if self.only_finished:
            return on_machine.finished(generation, places)
        preflight, console = not self.skip_preflight, Console(stderr=True)
        if not console.is_terminal:
            return on_machine.generate(generation, places, lambda _: None, quiet=False, preflight=preflight)
        with Bars(console, len(generation.cases) * (2 if self.verify else 1)) as bars:
            return on_machine.generate(generation, places, bars.show, quiet=True, preflight=preflight)


def bad_lines(manifest: Manifest) -> Iterator[str]:
    """A line for each case that failed, was skipped or was not the same twice."""
    yield from (f"{name}: {reason}" for name, reason in bad(manifest).items())


def count(manifest: Manifest, place: str) -> str:
    """How many cases a run has, and where they are."""
    good, new = sum(record.status == "ok" for record in manifest.cases.values()), len(manifest.run.made)
    whole = f"{counted(good, 'case', of=len(manifest.cases))} {are(good)} {place}"
    return f"{whole} ({new} made now, {good - new} made before)"
