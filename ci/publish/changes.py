"""What publishing a batch changes in the data repository as it is now, and which of it nobody has agreed to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..artifact import manifest as manifests
from ..artifact.manifest import Accepted, Manifest
from ..artifact.records import CaseRecord
from ..errors import PublishError
from .batch import Batch, Files
from .merge import merge
from .remotes.base import Head, blob_id

SHOWN = ("torch", "cuda", "driver", "diffusers", "transformers", "python")  # versions that a message names


@dataclass(frozen=True)
class Order:
    """What is to be published, and what the caller has agreed to."""

    batch: Batch
    accept: Mapping[str, str] = field(default_factory=dict)  # the reason for an intended change, by case
    known: Collection[str] | None = None  # cases that are not retired; None: nothing is pruned
    run: str = ""  # of the CI, for the message
    ref: str = ""


@dataclass
class Changes:
    """The files to write and (None) to remove, and what that means for each case."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    identical: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # a line for each change that nobody has agreed to


def changes(order: Order, head: Head, published: Mapping[str, Manifest | None], first: Head) -> Changes:
    """Compare a batch with the head; `published` holds each folder's manifest, `first` the head that was seen first."""
    found = Changes()
    for folder, cases in order.batch.folders.items():
        manifest = published[folder]
        accepted: dict[str, Accepted] = {}
        for name, files in cases.items():
            replaced = _replaced(folder, files, manifest.cases.get(name) if manifest else None, head)
            there = all(f"{folder}/{file}" in head.files for file in files)
            found_in = found.changed if replaced else found.identical if there else found.new
            found_in.append(name)
            if replaced:
                refusal = _refusal(name, folder, replaced, order, first)
                found.refused += [refusal] if refusal else []
                accepted[name] = Accepted(reason=order.accept.get(name, ""), replaced=replaced)
            _write(found, head, folder, files, replaced)
        retired = _retired(order, manifest)
        kept = {file for files in cases.values() for file in files}
        for file in _files(manifest, retired) - kept:
            _put(found, head, f"{folder}/{file}", None)
        found.removed += retired
        merged = merge(manifest, order.batch.manifest, cases.keys(), accepted, retired)
        text = None if merged is None else merged.text().encode()
        _put(found, head, f"{folder}/{manifests.NAME}", text)
    return found


def _replaced(folder: str, files: Files, before: CaseRecord | None, head: Head) -> dict[str, str]:
    """The published files of a case that would not be what they are: their blob ids by name."""
    names = {*files, *(file.name for file in before.files)} if before is not None else set(files)
    ids = {name: head.files[f"{folder}/{name}"] for name in sorted(names) if f"{folder}/{name}" in head.files}
    return {name: there for name, there in ids.items() if name not in files or blob_id(files[name]) != there}


def _refusal(name: str, folder: str, replaced: Mapping[str, str], order: Order, first: Head) -> str | None:
    if name not in order.accept:
        return f"{name}: {', '.join(replaced)} in {folder} would change"
    moved = [file for file, there in replaced.items() if first.files.get(f"{folder}/{file}") != there]
    return (
        f"{name}: {', '.join(moved)} in {folder} was changed by somebody else meanwhile; look again" if moved else None
    )


def _write(found: Changes, head: Head, folder: str, files: Files, replaced: Mapping[str, str]) -> None:
    for name in {*files, *replaced}:
        _put(found, head, f"{folder}/{name}", files.get(name))


def _files(manifest: Manifest | None, names: Collection[str]) -> set[str]:
    return {file.name for name in names for file in manifest.cases[name].files} if manifest is not None else set()


def _put(found: Changes, head: Head, path: str, content: bytes | None) -> None:
    before = head.files.get(path)
    if content is None and before is not None:
        found.files.setdefault(path, None)  # unless another case has written it
    elif content is not None and blob_id(content) != before:
        found.files[path] = content


def _retired(order: Order, manifest: Manifest | None) -> list[str]:
    if order.known is None or manifest is None:
        return []
    return sorted(manifest.cases.keys() - set(order.known) - order.batch.cases)


def published_manifest(folder: str, content: bytes | None) -> Manifest | None:
    """The manifest of a folder, from its content. Raises PublishError for one that this version cannot read."""
    if content is None:
        return None
    try:
        return Manifest.model_validate_json(content)
    except ValueError as error:
        raise PublishError(
            f"{folder}/{manifests.NAME} in the data repository is no manifest of this version, and would be "
            f"overwritten: {str(error).splitlines()[0]}; publish with the version that wrote it, or move it away"
        ) from None


def message(order: Order, found: Changes) -> str:
    """The commit's message: what changed and why, and what made it."""
    batch = order.batch
    count = len(found.new) + len(found.changed)
    what = f"{count} case{'' if count == 1 else 's'}" if count or not found.removed else "retired cases away"
    title = f"Publish {what if count else 'provenance'}" if not found.removed or count else "Remove retired cases"
    lines = [f"{title} ({', '.join(batch.folders)})", ""]
    lines += [f"new: {' '.join(found.new)}"] if found.new else []
    lines += [f"changed: {name}: {_one_line(order.accept[name])}" for name in found.changed]
    lines += [f"removed: {' '.join(found.removed)}"] if found.removed else []
    lines += _origin(order)
    return "\n".join([*lines, "", f"Diffusion-GT-Manifest: {batch.digest}"]) + "\n"


def _origin(order: Order) -> list[str]:
    batch, tool = order.batch, order.batch.manifest.run.tool
    records = [record for name, record in batch.manifest.cases.items() if name in batch.cases]
    commit = f", commit {tool.commit}{' and changes' if tool.dirty else ''}" if tool.commit else ""
    lines = [f"run: {_one_line(order.run)}"] if order.run else []
    lines += [f"ref: {_one_line(order.ref)}"] if order.ref else []
    lines.append(f"tool: diffusion-gt {tool.version}{commit}")
    for name in SHOWN:
        versions = sorted({version for record in records if (version := record.versions.get(name))})
        lines += [f"{name}: {', '.join(versions)}"] if versions else []
    gpus = sorted({f"{gpu.kind} ({gpu.name})" if gpu.name else gpu.kind for r in records if (gpu := r.gpu) is not None})
    return lines + ([f"gpu: {', '.join(gpus)}"] if gpus else [])


def _one_line(text: str) -> str:
    """Of one line and without control characters: what a caller wrote must not look like a line of ours."""
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
