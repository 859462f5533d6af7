"""Verbs on an artifact that is there: verdict, collect, summary, attest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typing_extensions import Doc

from ..artifact import attest, collect, folder, manifest, summary
from ..artifact.verdict import bad_lines, verdict
from ..catalogue import files
from ..words import are, counted
from .answers import Answer
from .options import GT, OURS, Artifact, Cases, Folder, MatrixFile, Typed, Written, read_text, write_text


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Say whether an artifact is whole: `gt` exits with 1, and the module raises, if a case failed or is missing."""

    artifact: Artifact = GT

    def run(self) -> Answer:
        """A line for each problem."""
        problems = verdict(self.artifact.path)
        return Answer("" if problems else f"gt: {self.artifact.path} is whole", problems, bool(problems))


@dataclass(frozen=True, kw_only=True)
class Collect:
    """Put the artifacts of a CI run's jobs together: one artifact with one manifest.

    A case that no job delivered is failed in it; `verdict` judges the whole.
    """

    parts: Annotated[
        Folder, Doc("A directory with the artifact of each job in a folder of its own."), Typed(positional=True)
    ]
    matrix: MatrixFile
    cases: Cases = OURS
    output: Annotated[Folder, Doc("The artifact's directory."), Written()] = GT

    def run(self) -> Answer:
        """What is in the new artifact, and a line for each case that is not."""
        ids = collect.ids_of(read_text(self.matrix))
        whole, results = collect.collect(collect.deliveries(self.parts.path), ids, files.load(self.cases.path))
        lines = folder.rewrite(self.output.path, whole, results)
        number = sum(record.status == "ok" for record in whole.cases.values())
        total = len(whole.cases)
        count = f"{counted(number, 'case', of=total)} {are(number, of=total)} in {self.output.path}"
        return Answer(lines=[*lines, *bad_lines(whole), count])


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Write an artifact as a Markdown table of its cases, for the page of a CI run: summary.md.

    Beside it are counts.env, and problems.txt with the lines of verdict: no line where the artifact is whole.
    """

    artifact: Artifact = GT
    artifact_url: Annotated[str, Doc("Where a reader can get the artifact; pictures link there.")] = ""
    output: Annotated[
        Folder | None,
        Doc("A directory for summary.md, counts.env and problems.txt."),
        Written(),
        Typed(default="print it"),
    ] = None

    def run(self) -> Answer:
        """The table, where no directory is named."""
        artifact = self.artifact.path
        texts = summary.texts(manifest.read(artifact), verdict(artifact), self.artifact_url)
        if self.output is None:
            return Answer(texts["summary.md"])
        for name, text in texts.items():
            write_text(self.output.path / name, text)
        return Answer()


@dataclass(frozen=True, kw_only=True)
class Attest:
    """Write an in-toto statement with SLSA provenance of an artifact: unsigned, for your own key or CI to sign."""

    artifact: Artifact = GT
    output: Annotated[
        Path | None, Doc("The file to write."), Written("statement.json"), Typed(default="standard output")
    ] = None
    builder_id: Annotated[str, Doc("URI of who made the artifact, such as that of the CI's workflow.")] = ""

    def run(self) -> Answer:
        """The statement, where no file is named."""
        statement = attest.text(attest.statement(self.artifact.path, self.builder_id or attest.BUILDER))
        if self.output is None:
            return Answer(statement)
        write_text(self.output, statement)
        return Answer(lines=[f"{self.output} says what the artifact is and what it was made of; it is not signed"])
