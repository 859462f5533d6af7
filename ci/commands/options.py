"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..catalogue import files

OURS = files.CASES
GT = Path("gt")

Artifact = Annotated[Path, typer.Option(help="The artifact's directory.")]
CasesDir = Annotated[
    Path, typer.Option("--cases", help="A folder of case files, instead of ours.", show_default="ours")
]
Ref = Annotated[str, typer.Option(help="Ref of the CI run.", envvar="GITHUB_REF")]
TargetDir = Annotated[str, typer.Option(help="Publish here, instead of the mode's directory.")]
Models = Annotated[
    Path | None, typer.Option(help="DIR/<owner>/<name> stands in for repositories, DIR/inputs/<file> for inputs.")
]

Engine = Annotated[Path | None, typer.Option(help="A checkout of the engine that makes the native cases.")]


def say(line: str) -> None:
    """Tell a person; what a program reads goes to standard output."""
    typer.echo(f"gt: {line}", err=True)
