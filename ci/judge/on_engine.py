"""The judge in a container: the same code as on a laptop, with torch only where learned measures have their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagger

from ..artifact import manifest as manifests
from ..artifact.replay_report import Metrics
from ..catalogue.gpus import FOLDERS
from ..errors import GtError, reading
from ..plan.generation import now
from ..run import transfer
from . import on_machine

ARTIFACT, REFERENCE, OTHER = "/gt/artifact", "/gt/reference", "/gt/other"
FLOOR, SPEC, OUT = "/gt/noise_floor.yaml", "/gt/spec.json", "/gt/out"
HISTORY = "history.jsonl"  # in what comes back
NAMES = {"artifact": "the artifact", "published": "published GT", "engine": "the engine's output"}
MOUNTED = {  # by the name in what is judged, and in the judge's spec
    "published": "/gt/published",
    "engine": "/gt/engine",
    "models": "/gt/models",
    "reference": REFERENCE,
    "other": OTHER,
}
MANIFESTS = [manifests.NAME, f"*/{manifests.NAME}"]  # published GT has some in the folders of GPU kinds, too


@dataclass(frozen=True)
class Subject:
    """What is judged, and what it is held against."""

    artifact: dagger.Directory
    images_only: bool = False
    published: dagger.Directory | None = None
    engine: dagger.Directory | None = None  # a serving engine's output
    engine_gpu: str | None = None  # the GPU kind that it was made on
    noise_floor: Path | None = None
    history: Path | None = None  # what earlier comparisons measured; the result holds it, grown
    models: dagger.Directory | None = None  # weights of CLIP and LPIPS
    reference: dagger.Directory | None = None  # a trace
    other: dagger.Directory | None = None  # the trace that is compared with it


async def gate(container: dagger.Container, subject: Subject) -> list[str]:
    """The quality gate: its summary. Raises GateError with a line for each bad file, GtError where it cannot run."""
    result = await check(container, subject)
    return on_machine.passed(json.loads(await result.contents()))


async def check(container: dagger.Container, subject: Subject) -> dagger.File:
    """The quality gate's result, with every number. Raises GtError where it cannot run."""
    return (await _result(container, "check", subject)).file(OUT)


async def compare(container: dagger.Container, subject: Subject) -> dagger.Directory:
    """Report, JSON and JUnit XML. Raises GtError."""
    return (await _result(container, "compare", subject)).directory(OUT)


async def against(container: dagger.Container, artifact: dagger.Directory, published: Path) -> dict[str, Metrics]:
    """How much files differ from published ones of their names, for whoever needs no report. Raises GtError."""
    result = await compare(container, Subject(artifact, published=transfer.folder(published)))
    return on_machine.metrics(json.loads(await result.file(on_machine.COMPARISON).contents()))


async def diverge(
    container: dagger.Container, reference: dagger.Directory, other: dagger.Directory, options: Mapping[str, Any]
) -> dagger.Directory:
    """Two traces against each other: JSON, table and pictures. Raises GtError."""
    container = container.with_mounted_directory(REFERENCE, reference).with_mounted_directory(OTHER, other)
    return (await _judge(container, "diverge", {"reference": REFERENCE, "other": OTHER, **options})).directory(OUT)


async def _result(container: dagger.Container, what: on_machine.Command, subject: Subject) -> dagger.Container:
    spec: dict[str, Any] = {"artifact": ARTIFACT, "images_only": subject.images_only, "gpu_folders": FOLDERS}
    spec["engine_gpu"] = subject.engine_gpu
    container = container.with_mounted_directory(ARTIFACT, subject.artifact)
    for name, path in MOUNTED.items():
        directory = getattr(subject, name)
        if directory is not None:
            container, spec[name] = container.with_mounted_directory(path, directory), path
    if subject.noise_floor is not None:
        with reading(subject.noise_floor):
            floor = subject.noise_floor.read_text(encoding="utf-8")
        container, spec["noise_floor"] = container.with_new_file(FLOOR, floor), FLOOR
    if subject.history is not None:
        with reading(subject.history):
            history = transfer.file(subject.history.read_text(encoding="utf-8"), HISTORY)
        place = f"{OUT}/{HISTORY}"
        container, spec["history"], spec["date"] = container.with_file(place, history), place, now()
    spec["names"] = {name: words for name, words in NAMES.items() if name in spec}
    published = await _manifests(subject.published, "published") if subject.published is not None else None
    on_machine.validate(what, spec, await _manifests(subject.artifact, "gt"), published)
    return await _judge(container, what, spec)


async def _judge(container: dagger.Container, what: on_machine.Command, spec: Mapping[str, Any]) -> dagger.Container:
    command = ["python", *on_machine.command(what, SPEC, OUT)]
    container = container.with_new_file(SPEC, json.dumps(spec)).with_exec(command, expect=dagger.ReturnType.ANY)
    if await container.exit_code():
        raise GtError((await container.stderr()).strip())
    return container


async def _manifests(directory: dagger.Directory, name: str) -> Path:
    """A folder of this process with nothing but the manifests of a directory."""
    return await transfer.exported(directory.filter(include=MANIFESTS), name)
