"""The quality gate over a directory: what is wrong with each file, and every number that was measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gt_pictures.errors import PictureError
from gt_pictures.reading import Picture, content, decode, read, twins

from ..artifact import Artifact, File
from ..planes import Plane
from ..pool import each
from ..published import Published, Reference
from ..text import line
from . import likeness, placement, quality, swaps
from . import rules as limits
from .placement import Placement

NO_REFERENCE = Reference(None, "no published GT was given")


@dataclass
class Examination:
    """One file: problems that need no limit, numbers, and what swaps are looked for by."""

    file: File
    reference: Reference
    problems: list[str] = field(default_factory=list)
    placement: Placement = field(default_factory=Placement)
    signature: Plane | None = None
    published_signature: Plane | None = None


def check(artifact: Artifact, published: Published | None) -> dict[str, Any]:
    """Examine every file; the result as it is written to JSON."""
    gate = limits.gate()
    pairs = [(file, published.find(file) if published else NO_REFERENCE) for file in artifact.files.values()]
    images = each(_examine, pairs)
    if published is not None:
        _find_swaps(images, published)
    files: dict[str, Any] = {}
    for image in images:
        rules = gate.problems(image.placement.metrics, image.placement.words)
        files[image.file.name] = _as_json(image, [*image.problems, *rules])
    for name, problem in _misplaced(artifact):
        files.setdefault(name, {"problems": []})["problems"].append(problem)
    bad = {name: file["problems"] for name, file in files.items() if file["problems"]}
    return {
        "schema_version": 1,
        "ok": not bad,
        "images": len(images),
        "unreferenced": sum(image.reference.path is None for image in images),
        "bad": [f"{line(name)}: {'; '.join(problems)}" for name, problems in bad.items()],
        "files": files,
        "metrics": {name: metric.model_dump() for name, metric in gate.metrics.items()},
        "rules": [rule.model_dump(exclude_none=True) for rule in gate.rules],
    }


def _misplaced(artifact: Artifact) -> Iterable[tuple[str, str]]:
    for name in artifact.strays():
        yield name, "stale: it is in no manifest"
    for names in twins(artifact.files).values():
        yield from ((name, f"ambiguous: {' and '.join(names)} are both there: leave one of them") for name in names)
    for case, name in artifact.unnamed():
        yield name, f"missing: case {case} makes it, and the manifest does not name it"


def _as_json(image: Examination, problems: list[str]) -> dict[str, Any]:
    reference = (
        {"state": "published"} if image.reference.path else {"state": "unreferenced", "why": image.reference.why}
    )
    metrics = {name: round(value, 6) for name, value in image.placement.metrics.items()}
    return {"case": image.file.case, "problems": problems, "reference": reference, "metrics": metrics}


def _examine(pair: tuple[File, Reference]) -> Examination:
    file, reference = pair
    image = Examination(file, reference)
    if not file.path.exists():
        image.problems.append("missing: the manifest names it")
        return image
    try:
        data = content(file.path)
        if file.sha256 not in (None, sha256 := hashlib.sha256(data).hexdigest()):
            image.problems.append(f"changed: sha256 {sha256[:12]}…, the manifest says {str(file.sha256)[:12]}…")
        picture = decode(data, file.name)
    except PictureError as error:
        image.problems.append(str(error))
        return image
    image.problems += _form(file, picture)
    least = limits.gate().least_side
    if min(picture.size) < least:
        image.problems.append(f"too small: {_by(picture.size)} px, at least {least} a side are needed")
        return image
    image.placement.metrics |= quality.measure(picture)
    if reference.path is not None:
        _refer(image, picture, data, reference.path)
    return image


def _form(file: File, picture: Picture) -> list[str]:
    """What is wrong with mode and size."""
    problems = []
    mode, modes = picture.image.mode, limits.gate().modes_of(file.source)
    if mode not in modes:
        problems.append(f"wrong mode: {mode}, allowed: {', '.join(modes)}")
    for size, who in ((file.recorded_size, "the manifest says"), (file.call_size, "the case's call asks for")):
        if size not in (None, picture.size):
            problems.append(f"wrong size: {_by(picture.size)}, {who} {_by(size)}")
    return problems


def _by(size: tuple[int, int] | None) -> str:
    return "x".join(map(str, size or ()))


def _refer(image: Examination, picture: Picture, data: bytes, path: Path) -> None:
    """Compare with the published image, unless that one would not pass the gate itself, as upstream has it."""
    try:
        published_data = content(path)
        published = decode(published_data, path.name)
    except PictureError as error:
        image.reference = Reference(None, f"the published one is {error}")
        return
    doubts = _doubts(published)
    if doubts:
        image.reference = Reference(None, f"the published one does not pass the gate: {doubts[0]}")
        return
    image.signature, image.published_signature = placement.signature(picture), placement.signature(published)
    if data == published_data:
        return
    if picture.size != published.size:
        image.problems.append(f"wrong size: {_by(picture.size)}, the published one has {_by(published.size)}")
    image.placement.metrics |= likeness.measure(picture, published)
    image.placement.add(placement.find(picture, published))


def _doubts(published: Picture) -> list[str]:
    gate = limits.gate()
    if min(published.size) < gate.least_side:
        return ["too small"]
    return gate.problems(quality.measure(published), {})


def _find_swaps(images: list[Examination], published: Published) -> None:
    new = {image.file.name: image.signature for image in images if image.signature is not None}
    old = {image.file.name: image.published_signature for image in images if image.published_signature is not None}
    if not new:
        return
    paths = published.images(image.file for image in images)
    others = {name: path for name, path in paths.items() if name not in old}
    signatures = zip(others, each(_signature, list(others.values())), strict=True)
    old |= {name: signature for name, signature in signatures if signature is not None}
    placements = swaps.find(new, old)
    for image in images:
        if image.file.name in placements:
            image.placement.add(placements[image.file.name])


def _signature(path: Path) -> Plane | None:
    try:
        return placement.signature(read(path))
    except PictureError:
        return None
