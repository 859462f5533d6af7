"""`gt pin`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..catalogue.pin import Find, case_files, open_digest, open_revisions, pin
from ..errors import GtError, PinError
from ..run import on_machine, recipes
from .options import OURS, CasesDir, say

IMAGES = recipes.CONTAINERS / "images.yaml"


def pin_command(
    cases: CasesDir = OURS,
    images_file: Annotated[
        Path | None,
        typer.Option("--images", help="The file that names the base image.", show_default="ours, with our cases"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is open, and exit with 1 if something is.")
    ] = False,
) -> None:
    """Write the newest commit of each model repository that has no revision, and the digest of the base image.

    Nothing else in the files changes. Exits with 0 when nothing is open any more, 1 when something could not be
    resolved, 2 on bad input.
    """
    files: list[tuple[Path, Find]] = [(file, open_revisions) for file in case_files(cases)]
    named = images_file or (IMAGES if cases == OURS else None)
    files += [(named, open_digest)] if named is not None else []
    unresolved: list[str] = []
    for path, find in files:
        if check:
            unresolved += [f"{path.name}: {spot.what} is open" for spot in find(_text(path))]
            continue
        resolve = _commits if find is open_revisions else _digests
        for line in pin(path, find, partial(resolve, unresolved)):
            say(line)
    for line in unresolved:
        say(line)
    if unresolved:
        raise typer.Exit(1)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PinError(f"{path} cannot be read: {error.strerror}") from None


def _commits(unresolved: list[str], repos: list[str]) -> Mapping[str, str]:
    found = on_machine.newest(repos)
    unresolved += [answer["error"] for answer in found.values() if "error" in answer]
    return {repo: answer["commit"] for repo, answer in found.items() if "commit" in answer}


def _digests(unresolved: list[str], references: list[str]) -> Mapping[str, str]:
    from ..run.registry import digest  # noqa: PLC0415  # an HTTP client, which no other command needs

    found: dict[str, str] = {}
    for reference in references:
        try:
            found[reference] = digest(reference)
        except GtError as error:
            unresolved.append(str(error))
    return found
