"""The manifest: what an artifact holds, and enough to make the same files again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ..errors import ArtifactError
from .records import CaseRecord, FileRecord, Part, RunRecord

NAME = "manifest.json"


class Accepted(Part):
    """An intended change of a published image."""

    reason: str
    replaced: dict[str, str] = Field(description="What the data repository held before: its git blob ids, by file.")


class PublishedCase(Part):
    """Where a published case comes from."""

    run: str = Field(description="A key of `runs`.")
    accepted: Accepted | None = None


class Publication(Part):
    """What the manifest of published GT holds besides: its cases may come from many runs."""

    runs: dict[str, RunRecord] = Field(description="By id; each names just those of its cases that are published here.")
    cases: dict[str, PublishedCase]


class Manifest(Part):
    """The one JSON file beside the images."""

    schema_version: Literal[1] = 1
    run: RunRecord = Field(description="In published GT, the newest of its runs.")
    publication: Publication | None = Field(None, description="In published GT only.")
    cases: dict[str, CaseRecord]

    def text(self) -> str:
        """As it is written: stable order, one key a line, so that two manifests compare."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"

    @property
    def files(self) -> dict[str, FileRecord]:
        """Every file of the artifact by name."""
        return {file.name: file for record in self.cases.values() for file in record.files}


def folder_of(artifact: Path) -> Path:
    """The folder of an artifact; its manifest may be named in its place."""
    return artifact.parent if artifact.name == NAME and artifact.is_file() else artifact


def read(artifact: Path) -> Manifest:
    """Read an artifact's manifest. Raises ArtifactError where there is none, or none that can be read."""
    artifact = folder_of(artifact)
    path = artifact / NAME
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ArtifactError(f"{artifact} is no artifact: it holds no {NAME}; `gt generate -o DIR` makes one") from None
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path} is no manifest of this version: {error}") from None


def parse(text: str, name: str) -> Manifest:
    """A manifest from its text; `name` says where that is from. Raises ArtifactError."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = str(error).splitlines()[:3]
        raise ArtifactError(f"{name} is no manifest of this version: {' '.join(first)}") from None


def run_id(run: RunRecord) -> str:
    """Names a run in published GT; the same for one artifact, however often it is published."""
    text = json.dumps(run.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
