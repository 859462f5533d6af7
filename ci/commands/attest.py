"""`gt attest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..artifact.attest import BUILDER, statement, text
from ..errors import ArtifactError
from .options import GT, Artifact, say


def attest(
    artifact: Artifact = GT,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write.", show_default="standard output")
    ] = None,
    builder_id: Annotated[
        str,
        typer.Option(help="URI of who made the artifact, e.g. that of the CI's workflow.", show_default="none named"),
    ] = "",
) -> None:
    """Write an in-toto statement with SLSA provenance of an artifact: unsigned, for your own key or CI to sign."""
    written = text(statement(artifact, builder_id or BUILDER))
    if output is None:
        typer.echo(written, nl=False)
        return
    try:
        output.write_text(written, encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"{output} cannot be written: {error.strerror}") from error
    say(f"{output} says what the artifact is and what it was made of; it is not signed")
