"""What publishing a batch changes in the data repository as it is now, and which of it nobody has agreed to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..artifact import manifest as manifests
from ..artifact.manifest import Accepted, Manifest
from ..artifact.records import CaseRecord
from ..errors import ArtifactError, PublishError, printable
from ..plan.workflow import publish_target
from ..words import counted
from .batch import Batch, Files
from .merge import merge
from .remotes.base import Head, blob_id
from .source import CiRun, Source, source_of

SHOWN = ("cuda", "driver", "diffusers", "transformers", "python")  # versions that a message names
FIRST, SECOND = publish_target(official=True), publish_target()  # in readers' order


@dataclass(frozen=True)
class Order:
    """What is to be published, and what the caller has agreed to."""

    batch: Batch
    accept: Mapping[str, str] = field(default_factory=dict)  # the reason for an intended change, by case
    known: Collection[str] | None = None  # cases that are not retired; None: nothing is pruned
    run: CiRun = field(default_factory=CiRun)
    allow_hidden: bool = False  # publish what readers do not see, since they look into a GPU kind's folder first

    @property
    def source(self) -> Source:
        """What the cases were made from."""
        return source_of(self.batch, self.run)


@dataclass
class Changes:
    """The files to write and (None) to remove, and what that means for each case."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    identical: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # a line for each change that nobody has agreed to
    hidden: list[str] = field(default_factory=list)  # a line for each file that its GPU kind's folder hides
    notes: list[str] = field(default_factory=list)  # what else a user may not expect


def changes(order: Order, head: Head, published: Mapping[str, Manifest | None], first: Head) -> Changes:
    """Compare a batch with the head; `published` holds each folder's manifest, `first` the head that was seen first.

    Raises PublishError for files that are one where upper and lower case are the same.
    """
    plan = Changes()
    for folder, cases in order.batch.folders.items():
        manifest = published[folder]
        accepted: dict[str, Accepted] = {}
        for name, files in cases.items():
            replaced = _replaced(folder, files, manifest.cases.get(name) if manifest else None, head)
            there = all(f"{folder}/{file}" in head.files for file in files)
            group = plan.changed if replaced else plan.identical if there else plan.new
            group.append(name)
            if replaced:
                refusal = _refusal(name, folder, replaced, order, first)
                plan.refused += [refusal] if refusal else []
                accepted[name] = Accepted(reason=_one_line(order.accept.get(name, "")), replaced=replaced)
            _write(plan, head, folder, files, replaced)
        retired = _retired(order, manifest)
        kept = {file for files in cases.values() for file in files}
        for file in _files(manifest, retired) - kept:
            _put(plan, head, f"{folder}/{file}", None)
        plan.removed += retired
        merged = merge(manifest, order.batch.manifest, cases.keys(), accepted, retired)
        text = None if merged is None else merged.text().encode()
        _put(plan, head, f"{folder}/{manifests.NAME}", text)
    _refuse_twins(plan, head)
    _refuse_folders(plan, head)
    _say_what_readers_see(plan, head, PurePosixPath(order.batch.directory))
    return plan


def looked_at(batch: Batch) -> list[str]:
    """The folders that matter for a batch: its own, the directory above them, and what readers look into before.

    Upstream's readers take official GT before native.
    """
    first = [FIRST] if PurePosixPath(batch.directory).is_relative_to(SECOND) else []
    return list(dict.fromkeys([*batch.folders, batch.directory, *first]))


def _refuse_twins(plan: Changes, head: Head) -> None:
    """Raises PublishError where a new file has another one's name but for upper and lower case."""
    staying = {path.casefold(): path for path in head.files if plan.files.get(path, b"") is not None}
    for path, content in plan.files.items():
        twin = staying.get(path.casefold())
        if content is not None and path not in head.files and twin is not None:
            raise PublishError(
                f"{path} and {twin}, which is published, are one file where upper and lower case are the same, as on "
                "macOS and Windows; nothing was published. Rename the case, or retire the other one with --prune"
            )


def _refuse_folders(plan: Changes, head: Head) -> None:
    """Raises PublishError where a folder lies under a file's name: the file would replace what is in it."""
    folders = {str(parent): path for path in head.files for parent in PurePosixPath(path).parents}
    for path, content in plan.files.items():
        if content is not None and path in folders:
            raise PublishError(
                f"{path} is a folder in the data repository, with {folders[path]}; nothing was published. Move it away"
            )


def _say_what_readers_see(plan: Changes, head: Head, directory: PurePosixPath) -> None:
    """Find the written files of which another one has the name, and say which of both readers take.

    They look for official GT before native GT, as upstream has it, and each time into the folder of the GPU kind before
    the directory itself. That a bare file is not seen by those who have one of their kind is a surprise.
    """
    paths: dict[str, list[PurePosixPath]] = {}
    for path in map(PurePosixPath, head.files):
        paths.setdefault(path.name, []).append(path)
    for path, content in ((PurePosixPath(path), content) for path, content in plan.files.items()):
        if content is None or path.name == manifests.NAME:
            continue
        others = [
            each
            for each in paths.get(path.name, [])
            if str(each) not in plan.files and head.files[str(each)] != blob_id(content)
        ]
        kind = path.parent.relative_to(directory)  # "." of a bare file
        bare = path.parent == directory
        by_kind = [each for each in others if each.parent.parent == path.parent]
        native = path.is_relative_to(SECOND)
        official = [each for each in others if native and _is_official(each, None if bare else kind)]
        for hiding, lines in ((by_kind, plan.hidden), (official, plan.notes)):
            if hiding:
                lines.append(f"{path} is hidden by {', '.join(map(str, hiding))}, where readers look first")
        if not bare and directory / path.name in others and str(path) not in head.files:
            plan.notes.append(f"{path} is what readers of {kind} see now, instead of {directory / path.name}")


def _is_official(path: PurePosixPath, kind: PurePosixPath | None) -> bool:
    """Whether readers find this official file before native GT of a kind; None: of any."""
    return path.is_relative_to(FIRST) if kind is None else path.parent in (PurePosixPath(FIRST), FIRST / kind)


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


def _write(plan: Changes, head: Head, folder: str, files: Files, replaced: Mapping[str, str]) -> None:
    for name in {*files, *replaced}:
        _put(plan, head, f"{folder}/{name}", files.get(name))


def _files(manifest: Manifest | None, names: Collection[str]) -> set[str]:
    return {file.name for name in names for file in manifest.cases[name].files} if manifest is not None else set()


def _put(plan: Changes, head: Head, path: str, content: bytes | None) -> None:
    before = head.files.get(path)
    if content is None and before is not None:
        plan.files.setdefault(path, None)  # unless another case has written it
    elif content is not None and blob_id(content) != before:
        plan.files[path] = content


def _retired(order: Order, manifest: Manifest | None) -> list[str]:
    if order.known is None or manifest is None:
        return []
    return sorted(manifest.cases.keys() - set(order.known) - order.batch.cases)


def published_manifest(folder: str, content: bytes | None) -> Manifest | None:
    """The manifest of a folder, from its content. Raises PublishError for one that this version cannot read."""
    if content is None:
        return None
    try:
        return manifests.parse(content, f"{folder}/{manifests.NAME} in the data repository")
    except ArtifactError as error:
        raise PublishError(
            f"{error}; it would be overwritten: publish with the version that wrote it, or move it away"
        ) from None


def message(order: Order, plan: Changes) -> str:
    """The commit's message: what changed and why, and what made it."""
    batch = order.batch
    count = len(plan.new) + len(plan.changed)
    what = counted(count, "case") if count or not plan.removed else "retired cases away"
    title = f"Publish {what if count else 'provenance'}" if not plan.removed or count else "Remove retired cases"
    lines = [f"{title} ({', '.join(batch.folders)})", ""]
    lines += [f"new: {' '.join(plan.new)}"] if plan.new else []
    lines += [f"changed: {name}: {_one_line(order.accept[name])}" for name in plan.changed]
    lines += [f"removed: {' '.join(plan.removed)}"] if plan.removed else []
    lines += _origin(order)
    return "\n".join([*lines, "", *_trailers(order)]) + "\n"


def _origin(order: Order) -> list[str]:
    """What made the cases."""
    tool, records = order.batch.manifest.run.tool, _records(order)
    commit = f", commit {tool.commit}{' and changes' if tool.dirty else ''}" if tool.commit else ""
    lines = [f"tool: diffusion-gt {_one_line(tool.version)}{commit}"]
    for name in SHOWN:
        versions = _versions(records, name)
        lines += [_one_line(f"{name}: {versions}")] if versions else []
    gpus = sorted({f"{gpu.kind} ({gpu.name})" if gpu.name else gpu.kind for r in records if (gpu := r.gpu) is not None})
    return lines + ([_one_line(f"gpu: {', '.join(gpus)}")] if gpus else [])


def _trailers(order: Order) -> list[str]:
    """Who and what this is from, for a program that reads the history: upstream's keys, and the manifest."""
    run, source = order.run, order.source
    values = {
        "Run": run.address,
        "Triggered-by": run.triggered_by,
        "Source-ref": source.ref,
        "Source-sha": source.sha,
        "Torch": _versions(_records(order), "torch"),
        "Diffusion-GT-Manifest": order.batch.digest,
    }
    return [f"{key}: {text}" for key, value in values.items() if (text := _one_line(value))]


def _records(order: Order) -> list[CaseRecord]:
    return [record for name, record in order.batch.manifest.cases.items() if name in order.batch.cases]


def _versions(records: Collection[CaseRecord], name: str) -> str:
    return ", ".join(sorted({version for record in records if (version := record.versions.get(name))}))


def _one_line(text: str) -> str:
    """Of one line and without control characters: what a caller wrote must not look like a line of ours."""
    return printable(" ".join(text.split()))
