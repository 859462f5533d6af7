"""`gt gitlab-pipeline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import GtError
from ..plan.gitlab import pipeline


def gitlab_pipeline(
    matrix: Annotated[Path, typer.Option(help="The CI matrix, as `gt matrix` printed it.")],
    tag: Annotated[str, typer.Option(help="Tag of the runners for what needs no GPU.")],
) -> None:
    """Print the pipeline that GitLab generates with: a job for each entry of the matrix, and what comes after them."""
    try:
        text = matrix.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GtError(f"{matrix} cannot be read: {error}") from None
    typer.echo(pipeline(text, tag), nl=False)
