"""What came of making the cases of a manifest again: byte for byte, file by file, and where not, what else differs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from ..words import are, counted
from .manifest import NAME, Manifest
from .records import CaseRecord
from .replay import Replay, origin
from .verdict import has_digest

# Of a case's record: all that may explain other bytes.
EXPLAINS = {
    *("pipeline", "passed", "dropped", "seed", "generator_device", "dtype", "inputs", "weights", "code", "gpu"),
    *("image", "runner", "environment", "versions", "isolation", "global_rng_used"),
}

Metrics = Mapping[str, float | None]
Measure = Callable[[Path, Path], Mapping[str, Metrics]]  # what was made, what there was; values by file name


class ReproducedFile(BaseModel):
    """One file of a case."""

    identical: bool
    then: str  # sha256
    now: str | None  # None: it was not made
    metrics: dict[str, float | None] | None = None  # None where the bytes are the same, or the old ones are not at hand

    def words(self) -> str:
        """For a person."""
        values = [f"{name} {value:.4g}" for name, value in (self.metrics or {}).items() if value is not None]
        return "identical" if self.identical else ": ".join(filter(None, ["differs", ", ".join(values)]))


class ReproducedCase(BaseModel):
    """One case; `differs` holds each field of the two records that differs, then and now."""

    identical: bool
    reason: str | None = None  # why it was not made
    files: dict[str, ReproducedFile]
    differs: dict[str, tuple[JsonValue, JsonValue]] = {}


class Reproduction(BaseModel):
    """All cases."""

    identical: bool
    notes: list[str]
    cases: dict[str, ReproducedCase]

    def lines(self) -> Iterator[str]:
        """What was found, for a person."""
        for name, case in self.cases.items():
            if case.reason is not None:
                yield f"{name}: was not made: {case.reason}"
            else:
                yield from (f"{file}: {entry.words()}" for file, entry in case.files.items())
            for field, (then, now) in case.differs.items():
                yield f"{name}: {field} was {_shown(then)}, is {_shown(now)}"
        same, total = sum(case.identical for case in self.cases.values()), len(self.cases)
        yield f"{counted(same, 'case', of=total)} {are(same, of=total)} byte for byte the same"


def reproduction(old: Manifest, plan: Replay, new: Manifest) -> Reproduction:
    """Compare the records of the two runs."""
    cases = {name: _case(name, record, old, new) for name, record in plan.records.items()}
    return Reproduction(identical=all(case.identical for case in cases.values()), notes=plan.notes, cases=cases)


def measure(report: Reproduction, then: Path, now: Path, compare: Measure) -> None:
    """Add how much files differ, for those of which the old bytes are at hand in the folder `then`."""
    files = {name: file for case in report.cases.values() for name, file in case.files.items()}
    other = {name: file for name, file in files.items() if file.now is not None and not file.identical}
    names = [name for name, file in other.items() if has_digest(then / name, file.then)]
    if not names:
        return
    with tempfile.TemporaryDirectory(prefix="gt-then-") as folder:
        for name in names:
            (Path(folder) / name).write_bytes((then / name).read_bytes())
        (Path(folder) / NAME).write_bytes((then / NAME).read_bytes())
        for name, values in compare(now, Path(folder)).items():
            if name in names:
                files[name].metrics = dict(values)


def _case(name: str, then: CaseRecord, old: Manifest, new: Manifest) -> ReproducedCase:
    now = new.cases[name]
    digests = {file.name: file.sha256 for file in now.files}
    files = {
        file.name: ReproducedFile(
            identical=digests.get(file.name) == file.sha256, then=file.sha256, now=digests.get(file.name)
        )
        for file in then.files
    }
    identical = all(file.identical for file in files.values())
    if identical or now.status != "ok":
        return ReproducedCase(identical=identical, reason=now.reason, files=files)
    return ReproducedCase(
        identical=False, files=files, differs=dict(_differing(_ground(name, then, old), _ground(name, now, new)))
    )


def _ground(name: str, record: CaseRecord, manifest: Manifest) -> dict[str, Any]:
    """All that a case stood on."""
    run = origin(manifest, name)
    fields = record.model_dump(mode="json", include=EXPLAINS)
    return {"tool": run.tool.model_dump(mode="json"), "engine": run.host.engine, **fields}


def _differing(then: JsonValue, now: JsonValue, where: str = "") -> Iterator[tuple[str, tuple[JsonValue, JsonValue]]]:
    """The leaves that differ, by their path."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            yield from _differing(then.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from _differing(one, other, f"{where}.{number}")
    elif then != now:
        yield where, (then, now)


def _shown(value: JsonValue) -> str:
    return "not known" if value is None else str(value)
