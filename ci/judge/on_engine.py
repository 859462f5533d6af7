"""The judge in a container: the same code as on a laptop, with torch only where learned measures have their weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagger

from ..errors import GtError
from ..run import transfer
from . import on_machine

ARTIFACT, PUBLISHED, ENGINE = "/gt/artifact", "/gt/published", "/gt/engine"
MODELS = "/gt/models"
FLOOR, SPEC, OUT = "/gt/noise_floor.yaml", "/gt/spec.json", "/gt/out"
NAMES = {"artifact": "the artifact", "published": "published GT", "engine": "the engine's output"}


@dataclass(frozen=True)
class Judged:
    """What is judged, and what it is held against."""

    artifact: dagger.Directory
    images_only: bool = False
    published: dagger.Directory | None = None
    engine: dagger.Directory | None = None
    noise_floor: Path | None = None
    models: dagger.Directory | None = None  # weights of CLIP and LPIPS


async def check(container: dagger.Container, judged: Judged) -> dagger.File:
    """The quality gate's result. Raises GtError where it cannot run."""
    return (await _ran(container, "check", judged)).file(OUT)


async def compare(container: dagger.Container, judged: Judged) -> dagger.Directory:
    """Report, JSON and JUnit XML. Raises GtError."""
    if judged.published is None and judged.engine is None:
        raise GtError("name what to compare with: --published, --engine or both")
    return (await _ran(container, "compare", judged)).directory(OUT)


async def sound(result: dagger.File) -> str:
    """What a check found, in words. Raises GtError with a line for each bad file."""
    found: dict[str, Any] = json.loads(await result.contents())
    if found["bad"]:
        raise GtError("\n".join([*found["bad"], *on_machine.summary(found)]))
    return "\n".join(on_machine.summary(found))


async def _ran(container: dagger.Container, what: on_machine.Command, judged: Judged) -> dagger.Container:
    on_machine.validated(await transfer.exported(judged.artifact, "gt"), images_only=judged.images_only)
    spec: dict[str, Any] = {"artifact": ARTIFACT, "images_only": judged.images_only}
    container = container.with_mounted_directory(ARTIFACT, judged.artifact)
    for name, path in (("published", PUBLISHED), ("engine", ENGINE), ("models", MODELS)):
        directory = getattr(judged, name)
        if directory is not None:
            container, spec[name] = container.with_mounted_directory(path, directory), path
    if judged.noise_floor is not None:
        floor = judged.noise_floor.read_text(encoding="utf-8")
        container, spec["noise_floor"] = container.with_new_file(FLOOR, floor), FLOOR
    spec["names"] = {name: words for name, words in NAMES.items() if name in spec}
    ran = container.with_new_file(SPEC, json.dumps(spec)).with_exec(
        ["python", *on_machine.command(what, SPEC, OUT)], expect=dagger.ReturnType.ANY
    )
    if await ran.exit_code():
        raise GtError((await ran.stderr()).strip())
    return ran
