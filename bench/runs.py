"""The two commands that are compared, and what they say of their parts."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from . import bare as bare_script
from .process import Finished, run
from .subject import Subject

GT = (sys.executable, "-c", "from ci.cli import main; main()")


@dataclass(frozen=True)
class Run:
    """Seconds of one command, part by part."""

    wall_seconds: float
    start_seconds: float | None  # until the process that holds the model is there; of the runner only
    imports_seconds: float | None  # of the bare script only: the runner imports while other things happen
    load_seconds: list[float]
    call_seconds: list[float]
    own_seconds: float  # outside of loads and calls
    cpu_seconds: float  # of all its processes
    busy: float  # share of the wall: of the GPU, or on a CPU of the one thread that generates
    made: int  # cases that this run made
    images: list[str]  # sha256 of the files, in the order of the cases


def runner(subject: Subject, name: str, *options: str, cases: Path | None = None, cache: str = "") -> Run:
    """`gt generate` with a cache of its own, or with the one that the run named `cache` left."""
    output = subject.work / name
    command = [*GT, "generate", "--official", "--cases", str(cases or subject.cases), "--models", str(subject.models)]
    command += ["--on", subject.on, "-o", str(output), *options]
    log = subject.work / f"{name}.log"
    finished = run(command, log, {"GT_CACHE": str(subject.work / f"{cache or name}.cache")})
    return _from_manifest(finished, json.loads((output / "manifest.json").read_text()))


def _from_manifest(finished: Finished, manifest: dict[str, Any]) -> Run:
    records = list(manifest["cases"].values())
    loads = {record["process"]["id"]: record["seconds"]["load"] for record in records}
    began = min(datetime.fromisoformat(record["process"]["started"]).timestamp() for record in records)
    return _run(
        finished,
        start=began - finished.started,
        loads=list(loads.values()),
        calls=[record["seconds"]["generate"] for record in records],
        made=len(manifest["run"]["made"]),
        images=[file["sha256"] for record in records for file in record["files"]],
    )


def bare(subject: Subject, name: str) -> Run:
    """The bare script, in a process of its own."""
    spec, report = subject.work / f"{name}.json", subject.work / f"{name}-report.json"
    cases = list(subject.bodies.values())
    spec.write_text(json.dumps({"folder": str(subject.model), "device": subject.device, "cases": cases}))
    finished = run([sys.executable, str(bare_script.__file__), str(spec), str(report)], subject.work / f"{name}.log")
    figures = json.loads(report.read_text())
    return _run(
        finished,
        imports=figures["imports_seconds"],
        loads=[figures["load_seconds"]],
        calls=figures["call_seconds"],
        made=len(cases),
        images=figures["images"],
        outside=figures["digest_seconds"],
    )


def _run(
    finished: Finished,
    *,
    loads: list[float],
    calls: list[float],
    made: int,
    images: list[str],
    start: float | None = None,
    imports: float | None = None,
    outside: float = 0.0,
) -> Run:
    """`outside` are seconds that the command spent on proving what it did, not on doing it."""
    wall = finished.wall_seconds - outside
    busy = finished.cpu_seconds / wall if finished.gpu_busy is None else finished.gpu_busy
    return Run(
        wall_seconds=round(wall, 3),
        start_seconds=None if start is None else round(start, 3),
        imports_seconds=imports,
        load_seconds=loads,
        call_seconds=calls,
        own_seconds=round(wall - sum(loads) - sum(calls), 3),
        cpu_seconds=finished.cpu_seconds,
        busy=round(busy, 3),
        made=made,
        images=images,
    )
