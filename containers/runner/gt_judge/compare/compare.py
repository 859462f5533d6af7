"""Compares an artifact with published GT, and a serving engine's output with the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gt_pictures.errors import PictureError
from gt_pictures.names import is_frame
from gt_pictures.reading import content, decode, read

from .. import records
from ..artifact import Artifact
from ..diverge.result import Divergence
from ..pool import each
from ..published import Published
from ..text import printable
from . import provenance, similarity
from . import thresholds as limits
from .learned import Learned
from .pairing import Pair, match
from .result import CaseResult, Comparison, FileResult, Grade, Measurement, Verdict

PERFECT = {"clip": 1.0, "lpips": 0.0}  # of two identical images


@dataclass(frozen=True)
class Against:
    """What the artifact is compared with, and by what."""

    published: Published | None = None
    serving: Path | None = None
    serving_kind: str | None = None  # the GPU kind of the serving engine's output; its manifest's, then GT's, if None
    learned: Learned = field(default_factory=lambda: Learned(None))
    floors: limits.NoiseFloors = field(default_factory=limits.noise_floors)
    names: Mapping[str, str] = field(default_factory=dict)  # how artifact, published and engine are called


def compare(artifact: Artifact, against: Against, traces: Divergence | None = None) -> Comparison:
    """Compare every file of the artifact; what two traces say of a case stands beside its images."""
    pairing = match(artifact, against.published, against.serving)
    files = [
        FileResult(pair, gt=gt, serving=serving)
        for pair, (gt, serving) in zip(pairing.pairs, each(_measure, pairing.pairs), strict=True)
    ]
    for file in files:
        _measure_learned(file, against.learned)
    cases: dict[str, CaseResult] = {}
    for file in files:
        cases.setdefault(file.pair.case, CaseResult(file.pair.case, kind=file.pair.new.kind)).files.append(file)
    _add_missing(cases, artifact, pairing.missing)
    for case in cases.values():
        _grade(case, against)
        case.changes = _changes(case.name, artifact, against.published)
    for traced in traces.cases if traces is not None else []:
        if traced.name in cases:
            cases[traced.name].traced = traced
    return Comparison(
        cases=sorted(cases.values(), key=lambda case: case.rank),
        pairing=pairing,
        measures=limits.MEASURES,
        not_measured=against.learned.absent,
        about=_about(artifact, against),
    )


def _measure(pair: Pair) -> tuple[Measurement | None, Measurement | None]:
    """New against published, and the serving engine's against new."""
    new = pair.new.path
    published = _damage(new) if pair.published is None else _apart(new, pair.published)
    if len(pair.serving_twins) > 1:
        return published, Measurement(error=f"{' and '.join(pair.serving_twins)} are both there: leave one of them")
    return published, None if pair.serving is None else _apart(pair.serving, new)


def _damage(path: Path) -> Measurement | None:
    """Why an image is none: what is not there is no new image either."""
    try:
        read(path)
    except PictureError as error:
        return Measurement(error=str(error))
    return None


def _apart(one: Path, other: Path) -> Measurement:
    try:
        data, other_data = content(one), content(other)
        pictures = decode(data, one.name), decode(other_data, other.name)
        values = similarity.measure(*pictures)
    except (PictureError, similarity.ShapeError) as error:
        return Measurement(error=str(error))
    if values["mean_abs_diff"] or values.get("alpha_diff"):
        return Measurement(values=values)
    return Measurement("bytes" if data == other_data else "pixels", values)


def _measure_learned(file: FileResult, learned: Learned) -> None:
    for measurement, one, other in (
        (file.gt, file.pair.new.path, file.pair.published),
        (file.serving, file.pair.serving, file.pair.new.path),
    ):
        if measurement is None or measurement.error or one is None or other is None:
            continue
        if measurement.identical:
            measurement.values |= {name: PERFECT[name] for name in PERFECT if name not in learned.absent}
        else:
            measurement.values |= learned.measure(read(one), read(other))


def _add_missing(cases: dict[str, CaseResult], artifact: Artifact, missing: Mapping[str, str]) -> None:
    for name, record in artifact.cases.items():
        if record["status"] != "ok":
            why = printable(f"{record['status']}: {record.get('reason')}")
            cases.setdefault(name, CaseResult(name)).why_missing.append(why)
    for file, name in missing.items():
        cases.setdefault(name, CaseResult(name)).why_missing.append(f"{file} is published, and not made any more")


def _grade(case: CaseResult, against: Against) -> None:
    case.floor = against.floors.of(case.name, case.kind)
    if against.serving is not None:
        video = any(is_frame(file.pair.name) for file in case.files)
        by_manifest = next((kind for file in case.files if (kind := file.pair.serving_kind)), None)
        kind = against.serving_kind or by_manifest or case.kind
        case.thresholds, case.thresholds_from = limits.serving_thresholds().of(case.name, kind, video=video)
    for file in case.files:
        if against.published is not None:
            of_this_kind = file.pair.published_kind in (None, case.kind)  # two kinds differ without any noise
            file.grade = _gt_grade(file, case.floor if of_this_kind else None)
        if case.thresholds is not None:
            file.verdict = _verdict(file, case.thresholds)


def _gt_grade(file: FileResult, floor: limits.NoiseFloor | None) -> Grade:
    if file.gt is None:
        return Grade.NEW
    if file.gt.identical:
        return Grade.IDENTICAL
    if file.gt.error or floor is None:
        return Grade.CHANGED
    file.beyond = floor.beyond(file.gt.values)
    return Grade.CHANGED if file.beyond else Grade.WITHIN


def _verdict(file: FileResult, thresholds: limits.Thresholds) -> Verdict:
    if file.serving is None:
        return Verdict.MISSING
    file.failed = [file.serving.error] if file.serving.error else thresholds.beyond(file.serving.values)
    return Verdict.FAILED if file.failed else Verdict.PASSED


def _changes(name: str, artifact: Artifact, published: Published | None) -> dict[str, list[provenance.Change]] | None:
    if published is None or name not in artifact.cases:
        return None
    record = published.record(name, records.kind_of(artifact.cases[name]))
    return None if record is None else provenance.changes(record, artifact.cases[name])


def _about(artifact: Artifact, against: Against) -> dict[str, Any]:
    run = artifact.manifest["run"] if artifact.manifest is not None else None
    summary = {"tool": run["tool"], "started": run["started"], "host": run["host"]} if run else None
    return {"names": dict(against.names), "run": summary}
