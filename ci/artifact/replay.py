"""From a manifest alone to a run that makes the same again: its cases as data, with every pin that it recorded."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..catalogue.fields import SMOKE
from ..catalogue.gpus import ANY, CPU
from ..catalogue.model import Case, ServingFile, model_of
from ..catalogue.native import ServingEngine
from ..catalogue.selection import Selection
from ..errors import ReproduceError, near, printable, reading
from ..plan import jobs
from ..plan.generation import Generation
from ..plan.host import Host
from ..plan.jobs import Job
from ..words import first_mistake
from .manifest import Manifest
from .records import CaseRecord, RunRecord, Tool
from .tool import of_checkout
from .verdict import has_digest


@dataclass(frozen=True)
class Ground:
    """What this machine can put against what a manifest names."""

    host: Host
    runner: str  # digest of the runner's code
    inputs: Path  # the folder that inputs of cases start from
    models: Path | None = None  # stands in for repositories
    environment: str | None = None  # digest; None where a container's is not known before it runs
    containers: bool = False
    serving: str | None = None  # identity of the checkout that makes native cases; None: there is none
    tool: Tool = field(default_factory=of_checkout)


@dataclass
class Replay:
    """What is to be run, and how it differs from what the manifest names, as far as that is known before."""

    generation: Generation
    records: dict[str, CaseRecord]
    notes: list[str] = field(default_factory=list)


def replay(manifest: Manifest, ids: Collection[str], ground: Ground, *, anyway: bool = False) -> Replay:
    """The run that makes the cases of a manifest again, or those `ids` of them.

    Raises ReproduceError with everything that is missing or cannot be had; with `anyway`, another GPU kind and other
    code of the runner are noted and no obstacle.
    """
    records = _chosen(manifest, ids)
    cases = {name: _case(name, record, ground) for name, record in records.items()}
    obstacles = _by_case((name, text) for name, record in records.items() for text in _missing(record, ground))
    differences = _by_case((name, text) for name, record in records.items() for text in _other_ground(record, ground))
    if obstacles or (differences and not anyway):
        advice = ["--anyway makes them again all the same"] if differences and not obstacles else []
        raise ReproduceError(
            "\n".join(["what the manifest names cannot be had here:", *obstacles, *differences, *advice])
        )
    request = manifest.run.selection
    group = SMOKE if request.mode == SMOKE else ""
    selection = Selection(request.mode == "official", tuple(records), group)
    work = _jobs(cases, records, ground.host)
    on = ANY if differences else request.on  # whatever the cases need, they run where they did, or were allowed to
    generation = Generation(selection, list(cases.values()), work, ground.host, on, fresh=True)
    notes = [*differences, *_skipped(manifest, ids), *_notes(manifest, records, ground)]
    return Replay(generation, records, list(dict.fromkeys(notes)))


def pinned(record: CaseRecord) -> dict[str, Any]:
    """A case as data, with the commits and digests that its run found put in."""
    case: dict[str, Any] = copy.deepcopy(dict(record.case))
    commits = {weights.repo: weights.commit for weights in record.weights}
    for place in _repositories(case):
        commit = commits.get(place["repo"])
        if commit is not None:
            place["revision"] = commit
    for entry, file in zip(case.get("inputs", []), record.inputs, strict=False):
        entry["sha256"] = file.sha256
    return case


def serving_of(manifest: Manifest) -> tuple[ServingEngine, str] | None:
    """The serving engine that made a manifest's native cases, if there are any, and its commit; "" where it had none.

    Raises ReproduceError where the case is none of this version.
    """
    for name, record in manifest.cases.items():
        if "engine" in record.case and record.code is not None:
            file = _file(name, record.source, record.case)
            return file.engine, record.code.commit or ""
    return None


def origin(manifest: Manifest, name: str) -> RunRecord:
    """The run that a case comes from."""
    publication = manifest.publication
    return manifest.run if publication is None else publication.runs[publication.cases[name].run]


def _repositories(case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for place in (case.get("model"), case.get("text_encoder"), *case.get("loras", [])):
        if isinstance(place, dict) and "repo" in place:
            yield place


def _chosen(manifest: Manifest, ids: Collection[str]) -> dict[str, CaseRecord]:
    unknown = [name for name in ids if name not in manifest.cases]
    if unknown:
        raise ReproduceError(f"the manifest holds no case {unknown[0]!r}; {near(unknown[0], manifest.cases)}")
    records = {n: record for n, record in manifest.cases.items() if record.status == "ok" and (not ids or n in ids)}
    if not records:
        raise ReproduceError("the manifest holds no finished case to make again")
    return records


def _skipped(manifest: Manifest, ids: Collection[str]) -> Iterator[str]:
    for name, record in manifest.cases.items():
        if record.status != "ok" and (not ids or name in ids):
            yield f"{name}: was not made then either: {record.status}: {record.reason}"


def _case(name: str, record: CaseRecord, ground: Ground) -> Case:
    _file(name, record.source, record.case)  # before its parts are looked at: a manifest may hold any JSON there
    file = _file(name, record.source, pinned(record))
    serving = file.engine if isinstance(file, ServingFile) else None
    code = getattr(file, "code", None)
    return Case(name, record.source, file.cases[name], code, ground.inputs / "manifest.json", serving=serving)


def _file(name: str, source: str, case: Mapping[str, Any]) -> Any:
    """The case as a case file of its own. Raises ReproduceError for one that no case file can hold."""
    data = dict(case)
    head: dict[str, Any] = {key: data.pop(key) for key in ("code", "engine") if key in data}  # by all cases of a file
    spec = {key: value for key, value in data.items() if key not in ("id", "source")}
    whole: dict[str, Any] = {"version": 1, "source": source, "cases": {name: spec}, **head}
    try:
        return model_of(whole).validate_python(whole)
    except ValidationError as error:
        reason = printable(first_mistake(error))
        raise ReproduceError(
            f"{name}: this version does not know the case as the manifest has it ({reason}); check out the tool's "
            "commit that the manifest names"
        ) from None


def _missing(record: CaseRecord, ground: Ground) -> Iterator[str]:
    """What a run would look for and not find, whatever the network gives."""
    for each in record.inputs:
        if each.path is None:
            continue
        path = ground.inputs / each.path
        if not path.is_file():
            yield f"input {each.path} is not in {ground.inputs}; --cases names the folder that it lies in"
            continue
        with reading(path, ReproduceError):
            same = has_digest(path, each.sha256)
        if not same:
            yield f"input {each.path} in {ground.inputs} is another file: its sha256 is not {each.sha256}"
    for weights in record.weights:
        if weights.commit is None and (ground.models is None or not (ground.models / weights.repo).is_dir()):
            yield f"{weights.repo} was a local folder ({weights.digest}); --models names the folder that it lies in"
    if "engine" in record.case and record.code is not None and ground.serving is None:
        yield f"made by {record.code.repo} at {_at(record.code.identity)}; --engine names a checkout of it"


def _other_ground(record: CaseRecord, ground: Ground) -> Iterator[str]:
    """What makes it unlikely that the bytes are the same."""
    kind = record.gpu.kind if record.gpu is not None else None
    if kind not in (None, CPU, ground.host.kind):
        yield f"made on {kind}, here is {ground.host.kind}"
    elif record.gpu is not None and kind != CPU and record.gpu.name is not None:
        then = _card(record.gpu.name, record.gpu.multiprocessors)
        now = _card(ground.host.gpu_name, ground.host.multiprocessors)
        if then != now:
            yield f"made on {then}, here is {now}"
    if "engine" in record.case and record.code is not None and ground.serving not in (None, record.code.identity):
        yield f"made by {record.code.repo} at {_at(record.code.identity)}, here it is at {_at(ground.serving)}"
    if record.runner != ground.runner:
        yield f"made by the runner's code {_short(record.runner)}, here it is {_short(ground.runner)}"


def _card(name: str, multiprocessors: int | None) -> str:
    return name if multiprocessors is None else f"{name} with {multiprocessors} multiprocessors"


def _notes(manifest: Manifest, records: Mapping[str, CaseRecord], ground: Ground) -> Iterator[str]:
    for name, record in records.items():
        yield from _tools(origin(manifest, name).tool, ground.tool)
        if ground.environment is not None and record.environment != ground.environment:
            yield f"the Python environment was {_short(record.environment)}, here it is {_short(ground.environment)}"
        image = None if record.image is None else record.image.digest or record.image.recipe
        if image is not None and not ground.containers:
            yield f"it ran in the image {_short(image)}, here without containers"


def _tools(then: Tool, now: Tool) -> Iterator[str]:
    """In what the diffusion-gt of a run differs from the one here, as far as both are known."""
    if then.source is not None and then.source == now.source:
        return
    if then.commit is None and then.source is None:
        yield "the manifest names neither commit nor source of the tool"
    elif then.commit is None:
        yield f"the tool's source was {then.source}, here it is {now.source or now.commit or 'not known'}"
    elif then.commit != now.commit:
        yield f"the tool was at commit {then.commit}, here it is {now.commit or now.source or 'no checkout'}"
    elif then.dirty:
        yield f"the tool's checkout held changes that commit {then.commit} has not"


def _jobs(cases: Mapping[str, Case], records: Mapping[str, CaseRecord], host: Host) -> list[Job]:
    """Jobs on the kind that ran each case; another one only where that was allowed."""
    kinds: dict[str, list[Case]] = {}
    for name, case in cases.items():
        gpu = records[name].gpu
        kind = gpu.kind if gpu is not None and gpu.kind in (CPU, host.kind) else host.kind
        kinds.setdefault(kind, []).append(case)
    return [job for kind, group in kinds.items() for job in jobs.plan(group, on=kind)]


def _by_case(texts: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each text, with the cases that it is about."""
    names: dict[str, list[str]] = {}
    for name, text in texts:
        names.setdefault(text, []).append(name)
    return [f"{', '.join(cases)}: {text}" for text, cases in names.items()]


def _at(identity: str | None) -> str:
    kind, _, value = (identity or "").partition(":")
    return value if kind == "commit" else f"no commit ({value[:12]})"


def _short(digest: str | None) -> str:
    return "unknown" if digest is None else digest.removeprefix("sha256:")[:12]
