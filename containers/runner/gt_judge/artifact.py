"""What a directory of images promises: by its manifest, or, where it has none, no more than that they are images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import JudgeError
from .pictures import is_image

MANIFEST = "manifest.json"
KEY_FRAMES = ("0", "mid", "last")  # of a video, as its files are named

Record = Mapping[str, Any]  # of a case, as the manifest has it; `ci/artifact/manifest.py` owns the model


@dataclass(frozen=True)
class File:
    """One file, and what is known of it; None where there is no manifest."""

    name: str
    path: Path
    case: str | None = None
    source: str | None = None
    kind: str | None = None  # the GPU kind that made it
    needed: str | None = None  # the GPU kind that its case needs
    sha256: str | None = None
    recorded: tuple[int, int] | None = None  # width and height by the manifest
    asked: tuple[int, int] | None = None  # width and height by the case's call


@dataclass(frozen=True)
class Artifact:
    """A directory of images."""

    folder: Path
    manifest: Record | None
    files: dict[str, File] = field(default_factory=dict)

    @property
    def cases(self) -> Mapping[str, Record]:
        """The records of its cases; none where there is no manifest."""
        return self.manifest["cases"] if self.manifest is not None else {}

    def strays(self) -> Iterator[str]:
        """What lies in the directory and is in no manifest."""
        if self.manifest is not None:
            known = {MANIFEST, *self.files}
            yield from sorted(path.name for path in self.folder.iterdir() if path.name not in known)

    def unnamed(self) -> Iterator[tuple[str, str]]:
        """Case and file name of each output that a case asks for, and the manifest does not name."""
        for name, record in self.cases.items():
            if record["status"] == "ok" and "output" in record["case"]:
                named = {file["name"] for file in record["files"]}
                yield from ((name, output) for output in outputs(record["case"]) if output not in named)


def outputs(case: Record) -> list[str]:
    """The names of the files that a case makes."""
    output = case["output"]
    stem = f"{case['id']}_{output['name_gpus']}gpu"
    if output["kind"] == "video":
        return [f"{stem}_frame_{frame}.png" for frame in KEY_FRAMES]
    return [f"{stem}.{output['format']}"]


def read_manifest(folder: Path) -> Record | None:
    """The manifest of a directory, or None where there is none of ours."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "schema_version" in found and "cases" in found else None


def read(folder: Path, *, images_only: bool = False) -> Artifact:
    """Read an artifact, or the images of a directory. Raises JudgeError where there is nothing of the kind."""
    if not folder.is_dir():
        raise JudgeError(f"{folder} is no directory")
    if images_only:
        images = sorted(path for path in folder.iterdir() if path.is_file() and is_image(path))
        return Artifact(folder, None, {path.name: File(path.name, path) for path in images})
    manifest = read_manifest(folder)
    if manifest is None:
        raise JudgeError(f"{folder} holds no {MANIFEST}; --images-only looks at the images alone")
    files = {file.name: file for name, record in manifest["cases"].items() for file in _files(folder, name, record)}
    return Artifact(folder, manifest, files)


def _files(folder: Path, name: str, record: Record) -> Iterator[File]:
    case, gpu = record["case"], record.get("gpu") or {}
    call = case.get("call", {})
    asked = (call["width"], call["height"]) if call.get("width") and call.get("height") else None
    for file in record["files"]:
        yield File(
            name=file["name"],
            path=folder / file["name"],
            case=name,
            source=record["source"],
            kind=gpu.get("kind"),
            needed=case.get("needs", {}).get("gpu"),
            sha256=file["sha256"],
            recorded=(file["width"], file["height"]),
            asked=asked,
        )
