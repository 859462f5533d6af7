"""What an artifact has to publish: its finished cases with their files, by the folder that they go to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..artifact import manifest as manifests
from ..artifact.manifest import Manifest
from ..artifact.records import FileRecord
from ..artifact.verdict import bad
from ..catalogue import gpus
from ..catalogue.fields import NATIVE, OFFICIAL, SMOKE, relative_path
from ..catalogue.model import RESERVED
from ..catalogue.official import OFFICIAL_SOURCES
from ..errors import PublishError, reading
from ..plan.workflow import WorkflowInputs, publish_target

Files = Mapping[str, bytes]  # content by file name


@dataclass(frozen=True)
class Batch:
    """The finished cases of an artifact."""

    manifest: Manifest
    digest: str  # of the manifest as it was read
    folders: Mapping[str, Mapping[str, Files]]  # the files of each case, by folder
    left_out: list[str]  # a line for each case that has nothing to publish

    @property
    def cases(self) -> set[str]:
        """The cases that are to be published."""
        return {name for cases in self.folders.values() for name in cases}


def batch(artifact: Path, target: str = "", *, per_platform: bool = False) -> Batch:
    """Read an artifact; `target` is the directory of the data repository, the mode's where it is empty.

    Raises ArtifactError where there is none, PublishError where nothing of it may go there.
    """
    manifest, artifact = manifests.read(artifact), manifests.folder_of(artifact)
    reasons = bad(manifest)
    finished = {
        name: record
        for name, record in manifest.cases.items()
        if record.status == "ok" and name not in manifest.run.kept
    }
    left_out = [f"{name} is not published: {reason}" for name, reason in reasons.items() if name not in finished]
    if not finished:
        raise PublishError("\n".join([f"{artifact} has nothing to publish:", *left_out]))
    directory = _directory(manifest, target, {record.source for record in finished.values()}, per_platform=per_platform)
    folders: dict[str, dict[str, Files]] = {}
    for name, record in finished.items():
        kind = record.gpu.kind if record.gpu is not None else ""
        if per_platform and not kind:
            raise PublishError(f"{name}: the manifest does not say which GPU kind ran it; leave out --per-platform")
        folder = f"{directory}/{gpus.folder_of(kind)}" if per_platform else directory
        folders.setdefault(folder, {})[name] = {file.name: _content(artifact, file) for file in record.files}
    digest = hashlib.sha256((artifact / manifests.NAME).read_bytes()).hexdigest()
    return Batch(manifest, f"sha256:{digest}", folders, left_out)


def _directory(manifest: Manifest, target: str, sources: Iterable[str], *, per_platform: bool) -> str:
    selection = manifest.run.selection
    if target:
        return _checked(target)
    if selection.mode == SMOKE:
        raise PublishError("smoke cases are for trying out; name a directory of your own with --publish-target-dir")
    if selection.on is not None and not per_platform:
        raise PublishError(
            f"the cases were moved to GPU kind {selection.on}, whatever they need: not for the mode's directory; "
            "--per-platform publishes them beside it, under their kind, or name a directory with --publish-target-dir"
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
        return publish_target(WorkflowInputs(official=True))
    serving, *others = sorted(sources)
    if others:
        raise PublishError(
            "native GT of one serving engine goes to its directory; name another with --publish-target-dir"
        )
    return publish_target(WorkflowInputs(), serving)


def _checked(target: str) -> str:
    path = target.rstrip("/")
    try:
        return relative_path(path)
    except ValueError:
        raise PublishError(f"{target!r} is no directory of the data repository; write it like path/to/folder") from None


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
