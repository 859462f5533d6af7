"""`gt check` and `gt compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import GtError
from ..judge import on_machine
from .options import GT, Artifact, say

Published = Annotated[
    str, typer.Option(help="Published GT of the same GPU kind: a directory, or a git repository as URL#REF:PATH.")
]
ImagesOnly = Annotated[
    bool, typer.Option("--images-only", help="Take the images as they are: the directory has no manifest.")
]
OUT = Path("comparison")


def check(
    artifact: Artifact = GT,
    published: Published = "",
    images_only: ImagesOnly = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every metric to this file.")] = None,
) -> None:
    """The quality gate: blank, noisy, blurred, damaged, stale or missing files; against published GT also misplaced.

    Exits with 0 when every file is good, 1 and a line for each bad file, 2 where it could not be run.
    """
    result = on_machine.check({"artifact": str(artifact), "images_only": images_only, "published": published})
    if json_file is not None:
        _write(json_file, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    for line in [*result["bad"], *on_machine.summary(result)]:
        say(line)
    raise typer.Exit(0 if result["ok"] else 1)


def compare(
    artifact: Artifact = GT,
    published: Published = "",
    engine: Annotated[Path | None, typer.Option(help="An engine's output: files named as the artifact's.")] = None,
    images_only: ImagesOnly = False,
    models: Annotated[
        Path | None, typer.Option(help="Weights of CLIP and LPIPS; what is not there is not measured.")
    ] = None,
    noise_floor: Annotated[Path | None, typer.Option(help="Measured noise floors, instead of ours.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where report.html and the rest go.")] = OUT,
) -> None:
    """Compare an artifact with published GT, and an engine's output with the artifact.

    Writes report.html, compare.json and junit.xml. Exits with 0 when no case changed or is missing and the engine
    passed, 1 when not, 2 where it could not be run.
    """
    names = {"artifact": artifact, "published": published, "engine": engine}
    spec = {
        "artifact": str(artifact),
        "images_only": images_only,
        "published": published,
        "engine": engine and str(engine),
        "models": models and str(models),
        "noise_floor": noise_floor and str(noise_floor),
        "names": {what: str(name) for what, name in names.items() if name},
    }
    result = on_machine.compare(spec, output)
    for line in [*on_machine.differences(result), f"the report is {output / 'report.html'}"]:
        say(line)
    raise typer.Exit(0 if result["same"] else 1)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GtError(f"{path} cannot be written: {error.strerror}") from error
