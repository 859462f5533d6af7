"""What an artifact has to publish: its finished cases with their files, by the folder that they go to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..artifact import manifest as manifests
from ..artifact.manifest import Manifest
from ..artifact.records import CaseRecord, FileRecord
from ..artifact.verdict import bad
from ..catalogue import gpus
from ..catalogue.fields import NATIVE, OFFICIAL, SMOKE, relative_path
from ..catalogue.model import RESERVED
from ..catalogue.official import OFFICIAL_SOURCES
from ..errors import PublishError, reading
from ..plan.workflow import publish_target

Files = Mapping[str, bytes]  # content by file name
KIND_FOLDERS = frozenset(map(gpus.folder_of, (*gpus.GPU_KINDS, gpus.CPU)))


@dataclass(frozen=True)
class Batch:
    """The finished cases of an artifact."""

    manifest: Manifest
    digest: str  # of the manifest as it was read
    directory: str  # of the data repository; the folders of GPU kinds lie in it
    folders: Mapping[str, Mapping[str, Files]]  # the files of each case, by folder
    omissions: list[str]  # a line for each case that has nothing to publish

    @property
    def cases(self) -> set[str]:
        """The cases that are to be published."""
        return {name for cases in self.folders.values() for name in cases}


def batch(artifact: Path, target: str = "", *, bare: bool = False) -> Batch:
    """Read an artifact; `target` is the directory of the data repository, the mode's where it is empty.

    Each case goes into the folder of the GPU kind that ran it, where readers look first; `bare`: into the directory.
    Raises ArtifactError where there is none, PublishError where nothing of it may go there.
    """
    manifest, artifact = manifests.read(artifact), manifests.folder_of(artifact)
    reasons = bad(manifest)
    records = {
        name: record
        for name, record in manifest.cases.items()
        if record.status == "ok" and name not in manifest.run.kept
    }
    omissions = [f"{name} is not published: {reason}" for name, reason in reasons.items() if name not in records]
    if not records:
        raise PublishError("\n".join([f"{artifact} has nothing to publish:", *omissions]))
    directory = _directory(manifest, target, {record.source for record in records.values()}, bare=bare)
    folders: dict[str, dict[str, Files]] = {}
    for name, record in records.items():
        folder = directory if bare else f"{directory}/{_kind_folder(name, record)}"
        folders.setdefault(folder, {})[name] = {file.name: _content(artifact, file) for file in record.files}
    digest = hashlib.sha256((artifact / manifests.NAME).read_bytes()).hexdigest()
    return Batch(manifest, f"sha256:{digest}", directory, folders, omissions)


def _kind_folder(name: str, record: CaseRecord) -> str:
    if record.gpu is None or not record.gpu.kind:
        raise PublishError(f"{name}: the manifest does not say which GPU kind ran it; publish it with --bare")
    return gpus.folder_of(record.gpu.kind)


def _directory(manifest: Manifest, target: str, sources: Iterable[str], *, bare: bool) -> str:
    selection = manifest.run.selection
    if target:
        return _checked(target, bare=bare)
    if selection.mode == SMOKE:
        raise PublishError("smoke cases are for trying out; name a directory of your own with --publish-target-dir")
    if selection.on is not None and bare:
        raise PublishError(
            f"the cases were moved to GPU kind {selection.on}, whatever they need: not for the mode's directory; "
            "without --bare they go into the folder of their kind, or name a directory with --publish-target-dir"
        )
    foreign = sorted(
        name for name in sources if (name in RESERVED if selection.mode == NATIVE else name not in OFFICIAL_SOURCES)
    )
    if foreign:
        raise PublishError(
            f"the artifact is of mode {selection.mode}, and holds cases of {', '.join(foreign)}: not for the mode's "
            "directory; generate each mode into an artifact of its own"
        )
    if selection.mode == OFFICIAL:
        return publish_target(official=True)
    serving, *others = sorted(sources)
    if others:
        raise PublishError(
            "native GT of one serving engine goes to its directory; name another with --publish-target-dir"
        )
    return publish_target(serving=serving)


def _checked(target: str, *, bare: bool) -> str:
    try:
        path = relative_path(target.rstrip("/"))
    except ValueError:
        raise PublishError(f"{target!r} is no directory of the data repository; write it like path/to/folder") from None
    name = path.rpartition("/")[2]
    if not bare and name in KIND_FOLDERS:
        raise PublishError(
            f"{target} is the folder of a GPU kind, and each case goes into that of its own; name the directory above, "
            "or publish with --bare"
        )
    return path


def _content(artifact: Path, file: FileRecord) -> bytes:
    """Read once: what is hashed is what is published."""
    path = artifact / file.name
    if not path.is_file():
        raise PublishError(f"{file.name} cannot be read, and the manifest names it: there is no such file")
    with reading(path, PublishError):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise PublishError(f"{file.name} was changed: its sha256 is not the manifest's; generate it again")
    return content
