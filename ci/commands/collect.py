"""`gt collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..artifact import collect as collecting
from ..artifact import folder
from ..artifact.verdict import bad
from ..catalogue import files
from ..errors import ArtifactError
from .options import GT, OURS, CasesDir, say


def collect(
    parts: Annotated[Path, typer.Argument(help="A directory with the artifact of each job in a folder of its own.")],
    matrix: Annotated[Path, typer.Option(help="The CI matrix, as `gt matrix` printed it.")],
    cases: CasesDir = OURS,
    output: Annotated[Path, typer.Option("-o", "--output", help="The artifact's directory.")] = GT,
) -> None:
    """Put the artifacts of a CI run's jobs together: one artifact with one manifest.

    A case that no job delivered is failed in it; `gt verdict` judges the whole.
    """
    try:
        wanted = collecting.named(matrix.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{matrix} cannot be read: {error}") from None
    manifest, results = collecting.collect(collecting.parts(parts), wanted, files.load(cases))
    for line in folder.write(output, manifest, results):
        say(line)
    for name, reason in bad(manifest).items():
        say(f"{name}: {reason}")
    finished = sum(record.status == "ok" for record in manifest.cases.values())
    say(f"{finished} of {len(manifest.cases)} cases are in {output}")
