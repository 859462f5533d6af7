"""Verbs that judge images and traces: check, compare and diverge."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typing_extensions import Doc

from ..artifact.folder import check_writable
from ..judge import on_machine
from ..plan.generation import now
from ..plan.host import check_kind
from .answers import Answer
from .options import GT, Artifact, CaseIds, Folder, ImagesOnly, Published, Typed, Written, read_text, write_text


@dataclass(frozen=True, kw_only=True)
class Check:
    """The quality gate: blank, noisy, blurred, damaged, stale or missing files; against published GT also misplaced.

    `gt` exits with 0 when every file is good, 1 and a line for each bad file, 2 where it could not be run; the module
    raises with a line for each bad file.
    """

    artifact: Artifact = GT
    published: Published = None
    images_only: ImagesOnly = False


@dataclass(frozen=True, kw_only=True)
class CheckOnMachine(Check):
    """By the judge as a process."""

    json_file: Annotated[Path | None, Doc("Write every metric to this file."), Typed("--json")] = None

    def run(self) -> Answer:
        """A line for each bad file."""
        published = self.published and self.published.address
        result = on_machine.check(
            {"artifact": self.artifact.address, "images_only": self.images_only, "published": published}
        )
        if self.json_file is not None:
            write_text(self.json_file, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        return Answer(lines=[*result["bad"], *on_machine.summary(result)], bad=not result["ok"])


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare an artifact with published GT, and a serving engine's output with the artifact.

    Gives report.html, compare.json and junit.xml. `gt` exits with 0 when no case changed or is missing and the serving
    engine passed, 1 when not, 2 where it could not be run; the module gives the files in each case, and `same` in
    compare.json says whether all is well.
    """

    artifact: Artifact = GT
    published: Published = None
    engine: Annotated[Folder | None, Doc("A serving engine's output: files named as the artifact's.")] = None
    engine_gpu: Annotated[
        str | None, Doc("The GPU kind that made it, if its manifest does not say so; picks the thresholds.")
    ] = None
    images_only: ImagesOnly = False
    models: Annotated[Folder | None, Doc("Weights of CLIP and LPIPS; what is not there is not measured.")] = None
    noise_floor: Annotated[Path | None, Doc("A file of measured noise floors, instead of this project's.")] = None
    history: Annotated[
        Path | None, Doc("Append the measures to this file of JSON lines; the report shows their trend.")
    ] = None
    reference_trace: Annotated[Folder | None, Doc("A trace of the reference; shown beside the images.")] = None
    other_trace: Annotated[Folder | None, Doc("A trace of what is compared with it, such as the engine's.")] = None


@dataclass(frozen=True, kw_only=True)
class CompareOnMachine(Compare):
    """By the judge as a process."""

    output: Annotated[Folder, Doc("Where report.html and the rest go."), Written()] = Folder("comparison")

    def run(self) -> Answer:
        """A line for each case that is not as it was, and where the report is."""
        check_kind(self.engine_gpu)
        check_writable(self.output.path)
        folders = {"artifact": self.artifact, "published": self.published, "engine": self.engine}
        spec = {
            "artifact": self.artifact.address,
            "images_only": self.images_only,
            "published": self.published and self.published.address,
            "engine": self.engine and self.engine.address,
            "engine_gpu": self.engine_gpu,
            "models": self.models and self.models.address,
            "noise_floor": self.noise_floor and str(self.noise_floor),
            "history": self.history and str(self.history),
            "date": now(),
            "reference": self.reference_trace and self.reference_trace.address,
            "other": self.other_trace and self.other_trace.address,
            "names": {what: folder.address for what, folder in folders.items() if folder is not None},
        }
        result = on_machine.compare(spec, self.output.path)
        report = f"the report is {self.output.path / 'report.html'}"
        return Answer(lines=[*on_machine.differences(result), report], bad=not result["same"])


@dataclass(frozen=True, kw_only=True)
class Diverge:
    """Where does a run first differ from another one? Compares two traces, stage by stage.

    Gives a verdict in one sentence for each case, a table, diverge.json and a picture. `gt` exits with 0 when nothing
    differs beyond its tolerance, 1 when something does, 2 where it could not be compared; the module gives the files in
    each case.
    """

    reference: Annotated[Folder, Doc("The trace that is right: a folder with trace.json.")]
    other: Annotated[Folder, Doc("The trace that is compared with it, such as a serving engine's.")]
    case_ids: CaseIds = ()
    exact: Annotated[bool, Doc("Every bit counts, and dtype and layout too; rounding excuses nothing.")] = False
    dtype: Annotated[str, Doc("Take both to have rounded to bf16, fp16 or fp32, whatever the tensors show.")] = ""

    @property
    def options(self) -> dict[str, Any]:
        """The options as the judge reads them."""
        return {"cases": list(self.case_ids), "exact": self.exact, "dtype": self.dtype or None}


@dataclass(frozen=True, kw_only=True)
class DivergeOnMachine(Diverge):
    """By the judge as a process."""

    output: Annotated[Folder, Doc("Where the results go."), Written()] = Folder("divergence")

    def run(self) -> Answer:
        """The table, and how many cases diverged."""
        check_writable(self.output.path)
        folders = {"reference": self.reference.address, "other": self.other.address}
        result = on_machine.diverge({**folders, **self.options}, self.output.path)
        lines = [*on_machine.divergences(result), f"a picture of each case is in {self.output.path}"]
        table = read_text(self.output.path / on_machine.TABLE)
        return Answer(text=table, lines=lines, bad=result["diverged"])
