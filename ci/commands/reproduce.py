"""`gt reproduce`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..artifact import folder as artifact
from ..artifact import manifest as manifests
from ..artifact.manifest import Manifest
from ..artifact.replay import Again, Here, again
from ..artifact.replay_report import Metrics, Reproduction, measure, reproduction, values
from ..catalogue.selection import Selection
from ..errors import ArtifactError, GtError, ReproduceError
from ..judge import on_machine
from ..plan import host
from ..run import on_machine as local
from ..run.on_machine import Places
from .options import OURS, CasesDir, Engine, Models, say


def reproduce(
    manifest: Annotated[Path, typer.Argument(help="A manifest, or the directory that it lies in.")],
    case_ids: Annotated[str, typer.Option(help="Only these cases; ids separated by spaces or commas.")] = "",
    cases: CasesDir = OURS,
    models: Models = None,
    engine: Engine = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also on another GPU kind, or with other code of the runner.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was found to this file.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Keep the new artifact in this directory.")
    ] = None,
) -> None:
    """Make the cases of a manifest again, and compare byte for byte.

    Takes everything from the manifest but inputs that a case names by path: these lie in --cases. Exits with 0 when
    every file is identical, 1 when one differs or was not made, 2 where what the manifest names cannot be had.
    """
    folder = manifest if manifest.is_dir() else manifest.parent
    old = _read(manifest)
    wanted = again(old, Selection(case_ids=case_ids).ids, _here(cases, models, engine), anyway=anyway)
    for note in wanted.notes:
        say(note)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gt-again-")))
        made = output or scratch / "gt"
        new = _generate(wanted, Places(models, results=scratch / "results", engine=engine), made)
        found = reproduction(old, wanted, new)
        measure(found, folder, made, lambda now, then: _measured(now, then, scratch / "comparison"))
    for line in found.lines():
        say(line)
    if json_file is not None:
        _write(json_file, found)
    raise typer.Exit(0 if found.identical else 1)


def _read(manifest: Path) -> Manifest:
    if manifest.is_dir():
        return manifests.read(manifest)
    try:
        return manifests.parse(manifest.read_text(encoding="utf-8"), str(manifest))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{manifest} cannot be read: {error}") from None


def _here(cases: Path, models: Path | None, engine: Path | None) -> Here:
    for folder in (cases, models, engine):
        if folder is not None and not folder.is_dir():
            raise ReproduceError(f"{folder} is no directory")
    identity = local.identity()
    at = local.checkout(engine) if engine is not None else None
    return Here(host.this_host(), identity["runner"], cases, models, identity["environment"], engine=at)


def _generate(wanted: Again, places: Places, output: Path) -> Manifest:
    outcome = local.generate(wanted.generation, places, lambda _: None, quiet=False)
    artifact.write(output, outcome.manifest, outcome.results)
    return outcome.manifest


def _measured(now: Path, then: Path, out: Path) -> Mapping[str, Metrics]:
    try:
        result = on_machine.compare({"artifact": str(now), "published": str(then)}, out)
    except GtError as error:
        say(f"how much files differ is not measured: {error}")
        return {}
    return values(result)


def _write(path: Path, found: Reproduction) -> None:
    try:
        path.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ReproduceError(f"{path} cannot be written: {error.strerror}") from error
