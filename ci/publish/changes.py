"""What publishing a batch changes in the data repository as it is now, and which of it nobody has agreed to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..artifact import manifest as manifests
from ..artifact.manifest import Accepted, Manifest
from ..artifact.records import CaseRecord
from ..errors import ArtifactError, PublishError, one_line
from ..plan.workflow import publish_target
from .batch import Batch, Files
from .merge import merge
from .remotes.base import Head, blob_id
from .source import CiRun, Source, source_of

FIRST, SECOND = publish_target(official=True), publish_target()  # in readers' order


@dataclass(frozen=True)
class Order:
    """What is to be published, and what the caller has agreed to."""

    batch: Batch
    accept: Mapping[str, str] = field(default_factory=dict)  # the reason for an intended change, by case
    ids: Collection[str] | None = None  # of the case files: published cases besides go; None: none goes
    run: CiRun = field(default_factory=CiRun)
    allow_hidden: bool = False  # publish what readers do not see, since they look into a GPU kind's folder first

    @property
    def source(self) -> Source:
        """What the cases were made from."""
        return source_of(self.batch, self.run)


@dataclass
class Changes:
    """The files to write and (None) to remove on top of a head, and what that means for each case."""

    head: Head
    files: dict[str, bytes | None] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    identical: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # a line for each change that nobody has agreed to
    hidden: list[str] = field(default_factory=list)  # a line for each file that its GPU kind's folder hides
    notes: list[str] = field(default_factory=list)  # what else a user may not expect

    def put(self, path: str, content: bytes | None) -> None:
        """Write or (None) remove a file, where that is a change."""
        if self.head.files.get(path) != (None if content is None else blob_id(content)):
            self.files[path] = content


def changes(order: Order, head: Head, published: Mapping[str, Manifest], first: Head) -> Changes:
    """Compare a batch with the head; `published` holds each folder's manifest, `first` the head that was seen first.

    Raises PublishError for files that are one where upper and lower case are the same.
    """
    plan = Changes(head)
    for folder, cases in order.batch.folders.items():
        manifest = published.get(folder)
        records = {} if manifest is None else manifest.cases
        accepted: dict[str, Accepted] = {}
        for name, files in cases.items():
            replaced = _replaced(folder, files, records.get(name), head)
            complete = all(f"{folder}/{file}" in head.files for file in files)
            group = plan.changed if replaced else plan.identical if complete else plan.new
            group.append(name)
            if replaced:
                refusal = _refusal(name, folder, replaced, order, first)
                plan.refusals += [refusal] if refusal else []
                accepted[name] = Accepted(reason=one_line(order.accept.get(name, "")), replaced=replaced)
        retired = [] if order.ids is None else sorted(records.keys() - set(order.ids) - order.batch.cases)
        plan.removed += retired
        stale = {file for change in accepted.values() for file in change.replaced}
        stale |= {file.name for name in retired for file in records[name].files}
        contents = {name: content for files in cases.values() for name, content in files.items()}
        for name, content in {**dict.fromkeys(sorted(stale)), **contents}.items():
            plan.put(f"{folder}/{name}", content)
        merged = merge(manifest, order.batch.manifest, cases.keys(), accepted, retired)
        plan.put(f"{folder}/{manifests.NAME}", None if merged is None else merged.text().encode())
    _refuse_twins(plan)
    _refuse_folders(plan)
    _say_what_readers_see(plan, PurePosixPath(order.batch.directory))
    return plan


def folders_of(batch: Batch) -> list[str]:
    """The folders that matter for a batch: its own, the directory above them, and what readers look into before.

    Upstream's readers take official GT before native.
    """
    first = [FIRST] if PurePosixPath(batch.directory).is_relative_to(SECOND) else []
    return list(dict.fromkeys([*batch.folders, batch.directory, *first]))


def _refuse_twins(plan: Changes) -> None:
    """Raises PublishError where a new file has another one's name but for upper and lower case."""
    staying = {path.casefold(): path for path in plan.head.files if plan.files.get(path, b"") is not None}
    for path, content in plan.files.items():
        twin = staying.get(path.casefold())
        if content is not None and path not in plan.head.files and twin is not None:
            raise PublishError(
                f"{path} and {twin}, which is published, are one file where upper and lower case are the same, as on "
                "macOS and Windows; nothing was published. Rename the case, or retire the other one with --prune"
            )


def _refuse_folders(plan: Changes) -> None:
    """Raises PublishError where a folder lies under a file's name: the file would replace what is in it."""
    folders = {str(parent): path for path in plan.head.files for parent in PurePosixPath(path).parents}
    for path, content in plan.files.items():
        if content is not None and path in folders:
            raise PublishError(
                f"{path} is a folder in the data repository, with {folders[path]}; nothing was published. Move it away"
            )


def _say_what_readers_see(plan: Changes, directory: PurePosixPath) -> None:
    """Find the written files of which another one has the name, and say which of both readers take.

    They look for official GT before native GT, as upstream has it, and each time into the folder of the GPU kind before
    the directory itself. That a bare file is not seen by those who have one of their kind is a surprise.
    """
    paths: dict[str, list[PurePosixPath]] = {}
    for path in map(PurePosixPath, plan.head.files):
        paths.setdefault(path.name, []).append(path)
    for path, content in ((PurePosixPath(path), content) for path, content in plan.files.items()):
        if content is None or path.name == manifests.NAME:
            continue
        others = [
            each
            for each in paths.get(path.name, [])
            if str(each) not in plan.files and plan.head.files[str(each)] != blob_id(content)
        ]
        kind = path.parent.relative_to(directory)  # "." of a bare file
        bare = path.parent == directory
        by_kind = [each for each in others if each.parent.parent == path.parent]
        native = path.is_relative_to(SECOND)
        official = [each for each in others if native and _is_official(each, None if bare else kind)]
        for hiding, lines in ((by_kind, plan.hidden), (official, plan.notes)):
            if hiding:
                lines.append(f"{path} is hidden by {', '.join(map(str, hiding))}, where readers look first")
        if not bare and directory / path.name in others and str(path) not in plan.head.files:
            plan.notes.append(f"{path} is what readers of {kind} see now, instead of {directory / path.name}")


def _is_official(path: PurePosixPath, kind: PurePosixPath | None) -> bool:
    """Whether readers find this official file before native GT of a kind; None: of any."""
    return path.is_relative_to(FIRST) if kind is None else path.parent in (PurePosixPath(FIRST), FIRST / kind)


def _replaced(folder: str, files: Files, before: CaseRecord | None, head: Head) -> dict[str, str]:
    """The published files of a case that would not be what they are: their blob ids by name."""
    names = {*files, *(file.name for file in before.files)} if before is not None else set(files)
    ids = {name: head.files[f"{folder}/{name}"] for name in sorted(names) if f"{folder}/{name}" in head.files}
    return {name: old for name, old in ids.items() if name not in files or blob_id(files[name]) != old}


def _refusal(name: str, folder: str, replaced: Mapping[str, str], order: Order, first: Head) -> str | None:
    if name not in order.accept:
        return f"{name}: {', '.join(replaced)} in {folder} would change"
    others = [file for file, identity in replaced.items() if first.files.get(f"{folder}/{file}") != identity]
    if others:
        return f"{name}: {', '.join(others)} in {folder} was changed by somebody else meanwhile; look again"
    return None


def published_manifest(folder: str, content: bytes) -> Manifest:
    """The manifest of a folder, from its content. Raises PublishError for one that this version cannot read."""
    try:
        return manifests.parse(content, f"{folder}/{manifests.NAME} in the data repository")
    except ArtifactError as error:
        raise PublishError(
            f"{error}; it would be overwritten: publish with the version that wrote it, or move it away"
        ) from None
