"""What an artifact has to publish: its finished cases with their files, by the folder that they go to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..artifact import manifest as manifests
from ..artifact.manifest import Manifest
from ..artifact.records import FileRecord
from ..catalogue.fields import NATIVE, SMOKE
from ..errors import PublishError
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
    manifest = manifests.read(artifact)
    directory = _directory(manifest, target, per_platform=per_platform)
    folders: dict[str, dict[str, Files]] = {}
    left_out = []
    for name, record in manifest.cases.items():
        if record.status != "ok":
            left_out.append(f"{name} is not published: it {record.status}: {record.reason}")
            continue
        kind = record.gpu.kind if record.gpu is not None else ""
        if per_platform and not kind:
            raise PublishError(f"{name}: the manifest does not say which GPU kind ran it; leave out --per-platform")
        folder = f"{directory}/{kind}" if per_platform else directory
        folders.setdefault(folder, {})[name] = {file.name: _content(artifact, file) for file in record.files}
    if not folders:
        raise PublishError("\n".join([f"{artifact} has nothing to publish:", *left_out]))
    digest = hashlib.sha256((artifact / manifests.NAME).read_bytes()).hexdigest()
    return Batch(manifest, f"sha256:{digest}", folders, left_out)


def _directory(manifest: Manifest, target: str, *, per_platform: bool) -> str:
    selection = manifest.run.selection
    if target:
        return _clean(target)
    if selection.mode == SMOKE:
        raise PublishError("smoke cases are for trying out; name a directory of your own with --publish-target-dir")
    if selection.on is not None and not per_platform:
        raise PublishError(
            f"the cases were moved to GPU kind {selection.on}, whatever they need: not for the mode's directory; "
            "--per-platform publishes them beside it, under their kind, or name a directory with --publish-target-dir"
        )
    if selection.mode != NATIVE:
        return publish_target(WorkflowInputs(official=True))
    engines = sorted({record.source for record in manifest.cases.values()})
    if len(engines) != 1:
        raise PublishError("native GT of one engine goes to its directory; name another with --publish-target-dir")
    return publish_target(WorkflowInputs(), *engines)


def _clean(target: str) -> str:
    path = PurePosixPath(target)
    parts = [part.lower() for part in path.parts]
    if path.is_absolute() or not parts or ".." in parts or ".git" in parts or "\\" in target:
        raise PublishError(f"{target!r} is no directory of the data repository; write it like path/to/folder")
    return path.as_posix()


def _content(artifact: Path, file: FileRecord) -> bytes:
    """Read once: what is hashed is what is published."""
    try:
        content = (artifact / file.name).read_bytes()
    except OSError as error:
        raise PublishError(f"{file.name} cannot be read ({error.strerror}), and the manifest names it") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise PublishError(f"{file.name} was changed: its sha256 is not the manifest's; generate it again")
    return content
