"""Which file is compared with which: new with published, the serving engine's with new; and what has no partner."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from gt_pictures.errors import PictureError
from gt_pictures.names import case_of
from gt_pictures.reading import content, decode, twins

from .. import records
from ..artifact import Artifact, File, images
from ..errors import JudgeError
from ..published import Published


@dataclass
class Pair:
    """A new file, and the files that it is compared with; `notes` say what a reader must know of the pairing."""

    name: str
    case: str
    new: File
    published: Path | None = None
    published_kind: str | None = None
    serving: Path | None = None
    serving_kind: str | None = None  # where the engine's directory has a manifest that says so
    serving_twins: list[str] = field(default_factory=list)  # files that nothing but their suffix tells apart
    renamed_from: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Pairing:
    """All pairs, and the published files without a new one: of a case of this run, and of others."""

    pairs: list[Pair] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # case by file
    not_in_run: list[str] = field(default_factory=list)
    extra_serving: list[str] = field(default_factory=list)


def match(artifact: Artifact, published: Published | None, serving: Path | None) -> Pairing:
    """Pair every file of the artifact."""
    pairing = Pairing([Pair(file.name, file.case or case_of(file.name), file) for file in artifact.files.values()])
    if published is not None:
        _with_published(pairing, artifact, published)
    if serving is not None:
        _with_serving(pairing, serving)
    return pairing


def _with_published(pairing: Pairing, artifact: Artifact, published: Published) -> None:
    for each in pairing.pairs:
        reference = published.nearest(each.new)
        each.published, each.published_kind = reference.path, reference.kind
        if each.new.kind and reference.kind and each.new.kind != reference.kind:
            each.notes.append(f"made on {each.new.kind}, published on {reference.kind}")
    candidates = published.images(each.new for each in pairing.pairs)
    rest = {name: path for name, path in candidates.items() if name not in artifact.files}
    _find_renamed(pairing, rest)
    published_cases = published.cases(published.folder).items()
    cases_by_file = {file["name"]: case for case, record in published_cases for file in record["files"]}
    cases = {each.case for each in pairing.pairs} | set(artifact.cases)
    for name in rest:
        case = cases_by_file.get(name) or case_of(name)
        if case in cases:
            pairing.missing[name] = case
        else:
            pairing.not_in_run.append(name)


def _find_renamed(pairing: Pairing, rest: dict[str, Path]) -> None:
    """Give each new file without a published one the one of the same bytes or pixels, and take that off the rest."""
    orphans = [each for each in pairing.pairs if each.published is None]
    if not orphans or not rest:
        return
    marks = {mark: name for name, path in rest.items() for mark in _marks(path)}
    for each in orphans:
        name = next((marks[mark] for mark in _marks(each.new.path) if mark in marks), None)
        if name in rest:
            each.published, each.renamed_from = rest.pop(name), name


def _marks(path: Path) -> list[str]:
    """What two files of the same picture have in common: the digest of their bytes, or of their pixels."""
    try:
        data = content(path)
        picture = decode(data, path.name)
    except PictureError:
        return []
    alpha = b"" if picture.alpha is None else picture.alpha.tobytes()
    pixels = repr(picture.size).encode() + picture.rgb.tobytes() + alpha
    return [hashlib.sha256(data).hexdigest(), hashlib.sha256(pixels).hexdigest()]


def _with_serving(pairing: Pairing, serving: Path) -> None:
    files, kinds = {path.stem: path for path in images(serving)}, _kinds(serving)
    ambiguous = twins(path.name for path in images(serving))
    for each in pairing.pairs:
        stem = Path(each.name).stem
        each.serving, each.serving_twins = files.get(stem), ambiguous.get(stem, [])
        if each.serving is not None and each.serving.name != each.name:
            each.notes.append(f"the engine's file is {each.serving.name}")
        each.serving_kind = None if each.serving is None else kinds.get(stem)
        if each.new.kind and each.serving_kind and each.new.kind != each.serving_kind:
            each.notes.append(f"made on {each.new.kind}, the engine's on {each.serving_kind}")
    stems = {Path(each.name).stem for each in pairing.pairs}
    pairing.extra_serving = [path.name for stem, path in files.items() if stem not in stems]


def _kinds(serving: Path) -> dict[str, str | None]:
    """The GPU kind by a file's name without suffix, as a manifest of ours says; no engine owes us one."""
    try:
        kinds = records.kinds(records.cases(serving))
    except JudgeError:
        return {}
    return {Path(name).stem: kind for name, kind in kinds.items()}
