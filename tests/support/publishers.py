"""Makes artifacts that differ, and publishes them as the command does, with a gate that a test chooses."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.artifact.manifest import NAME, Manifest
from ci.artifact.records import FileRecord, GpuRecord
from ci.publish import push
from ci.publish.batch import batch
from ci.publish.changes import Order
from ci.publish.push import PublishResult
from ci.publish.remotes.opening import opened
from ci.publish.retry import Patience
from tests.support import records
from tests.support.git_server import Fault, git

DIRECTORY = "gt/official"
FOLDER = f"{DIRECTORY}/h100"  # of the GPU kind that made the artifacts
OTHERS = {"README.md": b"theirs"} | {f"{each}/other_1gpu.png": b"another's image" for each in (DIRECTORY, FOLDER)}
QUICK = Patience(attempts=25, first=0.01, longest=0.3, command="gt publish --to there")


def artifact(folder: Path, contents: Mapping[str, bytes | None], source: str = "diffusers", **changes: Any) -> Path:
    """An artifact with one file for each case; None is a case that failed."""
    base = records.manifest({name: "failed" if content is None else "ok" for name, content in contents.items()})
    cases = dict(base.cases)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if content is not None:
            file = file_record(f"{name}_1gpu.png", content)
            gpu = GpuRecord(kind="h100", name="NVIDIA H100 80GB HBM3", memory_bytes=80 * 10**9)
            update = {"source": source, "files": [file], "gpu": gpu, "versions": {"torch": "2.11.0"}}
            cases[name] = cases[name].model_copy(update=update)
            (folder / file.name).write_bytes(content)
    write(folder, base.model_copy(update={"cases": cases}), **changes)
    return folder


def file_record(name: str, content: bytes) -> FileRecord:
    return FileRecord(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest(), width=1, height=1)


def write(folder: Path, manifest: Manifest, **selection: Any) -> None:
    """Write a manifest of the official mode; `selection` changes what was asked for."""
    selected = manifest.run.selection.model_copy(update={"mode": "official", **selection})
    run = manifest.run.model_copy(update={"selection": selected})
    (folder / NAME).write_text(manifest.model_copy(update={"run": run}).text())


def passes(artifact: Path, published: Path) -> None:
    """A gate that has nothing against anything."""


def go(
    directory: Path,
    url: str,
    token: str = "",
    target: str = DIRECTORY,
    *,
    gate: Callable[[Path, Path], None] = passes,
    way: str = "git",
    branch: str = "",
    patience: Patience = QUICK,
    bare: bool = False,
    **order: Any,
) -> PublishResult:
    """Publish an artifact."""
    with opened(url, way, branch, token) as remote:
        return push.run(directory, Order(batch(directory, target, bare=bare), **order), remote, gate, patience)


@dataclass
class Place:
    """A data repository and the way to it."""

    name: str
    url: str
    token: str
    bare: Path
    faults: list[Fault]
    way: str = "git"

    def publish(self, directory: Path, **options: Any) -> PublishResult:
        return go(directory, self.url, self.token, way=self.way, **options)

    def files(self, ref: str = "main") -> dict[str, bytes]:
        """What the branch holds, by git itself."""
        names = git("-C", str(self.bare), "ls-tree", "-r", "--name-only", ref).splitlines()
        return {name: self.content(name, ref) for name in names}

    def content(self, name: str, ref: str = "main") -> bytes:
        command = ["git", "-C", str(self.bare), "cat-file", "blob", f"{ref}:{name}"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def manifest(self, folder: str = FOLDER) -> Manifest:
        return Manifest.model_validate_json(self.content(f"{folder}/{NAME}"))

    def commits(self, ref: str = "main") -> list[str]:
        return git("-C", str(self.bare), "rev-list", ref).splitlines()

    def message(self, ref: str = "main") -> str:
        return git("-C", str(self.bare), "log", "-1", "--format=%B", ref)
