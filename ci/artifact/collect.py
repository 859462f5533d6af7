"""Puts the artifacts of a CI run's jobs together: one artifact, one manifest, nothing lost that a job delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..catalogue import gpus
from ..catalogue.fields import ALL
from ..catalogue.files import Catalogue
from ..catalogue.model import Case
from ..errors import ArtifactError, near
from ..plan import matrix
from . import manifest as manifests
from .manifest import Manifest
from .records import CaseRecord, HostRecord, RemoteRecord, RunRecord, instant, timeless, unfinished
from .verdict import whole

Value = TypeVar("Value")
ABSENT = "no artifact came from its job"
PARTS = "name the folder in which the artifacts of the jobs lie, each in a folder of its own"


@dataclass(frozen=True)
class Delivery:
    """The artifact of one job."""

    name: str
    folder: Path
    manifest: Manifest


def ids_of(text: str) -> list[str]:
    """The cases of a CI matrix. Raises GtError where the text is none."""
    return list(dict.fromkeys(name for entry in matrix.entries(text, matrix.Entry) for name in entry.cases))


def deliveries(folder: Path) -> list[Delivery]:
    """The artifacts below a folder, each in one of its own. Raises ArtifactError where there is none."""
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is no directory; {PARTS}")
    # actions/download-artifact makes no folder for an artifact that is the only one.
    single = (folder / manifests.NAME).is_file()
    folders = [folder] if single else sorted(path for path in folder.iterdir() if path.is_dir())
    if not folders:
        raise ArtifactError(f"{folder} holds no artifact, so no job delivered one; {PARTS}")
    return [Delivery(path.resolve().name, path, manifests.read(path)) for path in folders]


def collect(parts: Sequence[Delivery], ids: Iterable[str], catalogue: Catalogue) -> tuple[Manifest, dict[str, Path]]:
    """The manifest of the whole, and the folder of each finished case's files.

    A case that no job delivered, or not whole, is `failed`; what its job says of it stands in the manifest. Raises
    ArtifactError where the parts are not of one run, and for a case that is in two of them and not the same.
    """
    candidates = catalogue.of(_one(parts, "modes", lambda run: run.selection.mode))
    names = _ordered(ids, candidates)
    owners = _owners(parts, names)
    cases: dict[str, CaseRecord] = {}
    results: dict[str, Path] = {}
    for name in names:
        part = owners.get(name)
        if part is None:
            cases[name] = unfinished(candidates[name].data(), "failed", ABSENT, [])
            continue
        record = part.manifest.cases[name]
        damage = [file.name for file in record.files if not whole(part.folder, file)]
        if damage:
            reason = f"its job's artifact is damaged: {', '.join(damage)}"
            record = CaseRecord(status="failed", reason=reason, source=record.source, case=record.case)
        cases[name] = record
        results[name] = part.folder
    return Manifest(run=_run(parts, names), cases=cases), results


def _ordered(names: Iterable[str], cases: Mapping[str, Case]) -> list[str]:
    """In the catalogue's order, as a run of all of them has it."""
    ids = set(names)
    for name in sorted(ids - cases.keys()):
        raise ArtifactError(
            f"case {name!r} of the matrix is in no case file; {near(name, cases)}; "
            "give the folder of case files that the matrix was made from with --cases"
        )
    return [name for name in cases if name in ids]


def _owners(parts: Sequence[Delivery], names: Sequence[str]) -> dict[str, Delivery]:
    owners: dict[str, Delivery] = {}
    for part in parts:
        for name, record in part.manifest.cases.items():
            if name not in names:
                raise ArtifactError(f"{part.name} holds case {name!r}, which no job of the matrix has")
            first = owners.setdefault(name, part)
            if timeless(first.manifest.cases[name]) != timeless(record):
                raise ArtifactError(
                    f"case {name!r} came from both {first.name} and {part.name}, and not the same; remove one of them"
                )
    return owners


def _run(parts: Sequence[Delivery], names: Sequence[str]) -> RunRecord:
    """One run whose hosts are the machines that the jobs ran on, each with its own times."""
    runs = [part.manifest.run for part in parts]
    groups = {run.selection.source_group for run in runs}
    selection = runs[0].selection.model_copy(
        update={
            "on": _one(parts, "GPU kinds to move cases to", lambda run: run.selection.on),
            "engine_ref": _one(parts, "refs of the serving engine", lambda run: run.selection.engine_ref),
            "source_group": groups.pop() if len(groups) == 1 else ALL,
            "case_ids": list(names),
        }
    )
    new = {name for run in runs for name in run.made}
    return RunRecord(
        tool=_one(parts, "versions of diffusion-gt", lambda run: run.tool),
        selection=selection,
        host=HostRecord(gpu=gpus.CPU, gpu_name=None, engine=None),
        hosts=[record for part in parts for record in _hosts(part)],
        moves=[move for run in runs for move in run.moves],
        started=min((run.started for run in runs), key=instant),
        ended=max((run.ended for run in runs), key=instant),
        made=[name for name in names if name in new],
        kept={name: reason for run in runs for name, reason in run.kept.items()},
    )


def _one(parts: Sequence[Delivery], what: str, of: Callable[[RunRecord], Value]) -> Value:
    """What all runs have. Raises ArtifactError where they differ."""
    first = parts[0]
    for part in parts:
        if of(part.manifest.run) != of(first.manifest.run):
            raise ArtifactError(f"{first.name} and {part.name} are of different {what}: not of one run's jobs")
    return of(first.manifest.run)


def _hosts(part: Delivery) -> Iterator[RemoteRecord]:
    """The machines that ran a job's cases: its own, and those that it sent some on to."""
    run = part.manifest.run
    times: Mapping[str, str] = {"started": run.started, "ended": run.ended}
    names = {name for record in run.hosts for name in record.cases}
    rest = [name for name in part.manifest.cases if name not in names]
    if rest:
        yield RemoteRecord(**run.host.model_dump(), name=part.name, cases=rest, **times)
    for record in run.hosts:
        labels = {"name": f"{part.name}/{record.name}", "started": record.started or run.started}
        yield record.model_copy(update={**labels, "ended": record.ended or run.ended})
