"""The verb that makes the cases of a manifest again, and compares byte for byte."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typing_extensions import Doc

from ..artifact import folder
from ..artifact import manifest as manifests
from ..artifact.manifest import Manifest
from ..artifact.replay import Ground, Replay, replay, serving_of
from ..artifact.replay_report import Metrics, measure, reproduction
from ..errors import GtError
from ..judge import on_machine as judge
from ..plan import host
from ..run import on_machine, runner
from ..run.on_machine import Places
from .answers import Answer, say
from .options import (
    OURS,
    CaseIds,
    Cases,
    Folder,
    Models,
    ServingCheckout,
    Typed,
    Written,
    check_checkout,
    path_of,
    write_text,
)


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Make the cases of a manifest again, and compare byte for byte.

    Takes everything from the manifest but inputs that a case names by path: these lie in the folder of case files.
    `gt` exits with 0 when every file is identical, 1 when one differs or was not made, 2 where what the manifest names
    cannot be had; the module gives reproduction.json, reproduction.txt and the new artifact in gt/.
    """

    artifact: Annotated[Folder, Doc("The artifact, or its manifest."), Typed(positional=True)]
    case_ids: CaseIds = ()
    cases: Cases = OURS
    engine: ServingCheckout = None
    anyway: Annotated[bool, Doc("Also on another GPU kind, or with other code of the runner.")] = False


@dataclass(frozen=True, kw_only=True)
class ReproduceOnMachine(Reproduce):
    """In this Python environment."""

    models: Models = None
    json_file: Annotated[Path | None, Doc("Write what was found to this file."), Typed("--json")] = None
    output: Annotated[Folder | None, Doc("Keep the new artifact in this directory."), Written()] = None

    def run(self) -> Answer:
        """A line for each file."""
        if self.output is not None:
            folder.check_writable(self.output.path)
        if self.json_file is not None and not self.json_file.exists():  # a pipe is there, and its folder is not ours
            folder.check_writable(self.json_file.parent)
        manifest = manifests.read(self.artifact.path)
        check_checkout(self.engine, native=serving_of(manifest) is not None)
        plan = replay(manifest, self.case_ids, self._here(), anyway=self.anyway)
        for note in plan.notes:
            say(note)
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gt-again-")))
            output = scratch / "gt" if self.output is None else self.output.path
            new = self._generate(plan, scratch, output)
            report = reproduction(manifest, plan, new)
            measure(report, manifests.folder_of(self.artifact.path), output, _measured)
        if self.json_file is not None:
            write_text(self.json_file, report.model_dump_json(indent=1) + "\n")
        return Answer(lines=list(report.lines()), bad=not report.identical)

    def _here(self) -> Ground:
        if not self.cases.path.is_dir():
            raise GtError(f"--cases {self.cases.path}: there is no such directory")
        identity = runner.identity()
        checkout = None if self.engine is None else runner.checkout(self.engine.path)
        machine, models = host.this_host(), path_of(self.models)
        return Ground(machine, identity["runner"], self.cases.path, models, identity["environment"], serving=checkout)

    def _generate(self, plan: Replay, scratch: Path, output: Path) -> Manifest:
        places = Places(path_of(self.models), results=scratch / "results", engine=path_of(self.engine))
        outcome = on_machine.generate(plan.generation, places)
        folder.write(output, outcome.manifest, outcome.results)
        return outcome.manifest


def _measured(now: Path, then: Path) -> Mapping[str, Metrics]:
    try:
        return judge.against(now, then)
    except GtError as error:
        say(f"how much files differ is not measured: {error}")
        return {}
