"""`gt summary`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..artifact import manifest as manifests
from ..artifact.summary import texts
from ..errors import ArtifactError
from .options import GT, Artifact


def summary(
    artifact: Artifact = GT,
    artifact_url: Annotated[str, typer.Option(help="Where a reader can get the artifact; pictures link there.")] = "",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A directory for summary.md and counts.env.", show_default="print it"),
    ] = None,
) -> None:
    """Tell an artifact as a Markdown table of its cases, for the page of a CI run."""
    told = texts(manifests.read(artifact), artifact_url)
    if output is None:
        typer.echo(told["summary.md"], nl=False)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in told.items():
            (output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"{output} cannot be written: {error.strerror}; choose another one with -o") from error
