"""`gt cases diff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..catalogue import files
from ..catalogue.upstream.diff import differences
from .options import OURS, CasesDir, say


def diff(
    engine: Annotated[
        Path, typer.Option(help="A checkout of sgl-project/sglang; it is read, and nothing of it is run.")
    ],
    cases: CasesDir = OURS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")] = False,
) -> None:
    """Say which cases an engine's own tests define otherwise than our files: added, changed or dropped.

    Official cases first, then native ones. Exits with 0 when nothing differs, 1 when something does, 2 on bad input.
    """
    found = differences(files.load(cases), engine)
    if as_json:
        typer.echo(json.dumps(found.data(), indent=1, ensure_ascii=False))
    else:
        for line in found.lines():
            typer.echo(line)
    if found:
        raise typer.Exit(1)
    say(f"nothing differs between the cases and {engine}")
