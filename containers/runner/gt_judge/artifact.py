"""What a directory of images promises: by its manifest, or, where it has none, no more than that they are images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gt_pictures import names
from gt_pictures.reading import FORMATS, is_image

from . import records
from .errors import JudgeError
from .records import LOCK, MANIFEST, CaseRecord, Manifest
from .text import printable


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
    recorded_size: tuple[int, int] | None = None  # width and height by the manifest
    call_size: tuple[int, int] | None = None  # width and height by the case's call


@dataclass(frozen=True)
class Artifact:
    """A directory of images."""

    folder: Path
    manifest: Manifest | None
    files: dict[str, File] = field(default_factory=dict)

    @property
    def cases(self) -> Mapping[str, CaseRecord]:
        """The records of its cases; none where there is no manifest."""
        return self.manifest["cases"] if self.manifest is not None else {}

    def strays(self) -> Iterator[str]:
        """The names of what lies in the directory and is in no manifest."""
        if self.manifest is not None:
            ours = {MANIFEST, LOCK, *self.files}
            yield from (printable(path.name) for path in sorted(self.folder.iterdir()) if path.name not in ours)

    def unnamed(self) -> Iterator[tuple[str, str]]:
        """Case and file name of each output that a case asks for, and the manifest does not name."""
        for name, record in self.cases.items():
            if record["status"] == "ok" and "output" in record["case"]:
                files = names.of(name, record["case"]["output"])
                yield from ((name, file) for file in files if file not in self.files)


def read(folder: Path, *, images_only: bool = False) -> Artifact:
    """Read an artifact, or the images of a directory. Raises JudgeError where there is nothing of the kind."""
    if not folder.is_dir():
        raise JudgeError(f"{folder} is no directory")
    if images_only:
        files = {path.name: File(path.name, path) for path in images(folder)}
        if not files:
            raise JudgeError(f"{folder} holds no image ({', '.join(FORMATS)}); name the folder that does")
        return Artifact(folder, None, files)
    manifest = records.read(folder)
    if manifest is None:
        raise JudgeError(f"{folder} holds no {MANIFEST}; --images-only looks at the images alone")
    if not manifest["cases"]:
        raise JudgeError(f"{folder} holds no case: there is nothing to judge")
    files = {file.name: file for name, record in manifest["cases"].items() for file in _files(folder, name, record)}
    return Artifact(folder, manifest, files)


def images(folder: Path) -> list[Path]:
    """The image files at the top of a directory, by their names."""
    return sorted(path for path in folder.iterdir() if is_image(path) and path.is_file())


def _files(folder: Path, name: str, record: CaseRecord) -> Iterator[File]:
    call = record["case"].get("call", {})
    width, height = call.get("width"), call.get("height")
    for file in record["files"]:
        yield File(
            name=file["name"],
            path=folder / file["name"],
            case=name,
            source=record["source"],
            kind=records.kind_of(record),
            needed=record["case"].get("needs", {}).get("gpu"),
            sha256=file["sha256"],
            recorded_size=(file["width"], file["height"]),
            call_size=(width, height) if width and height else None,
        )
