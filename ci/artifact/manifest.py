"""The manifest: what an artifact holds, and enough to make the same files again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from ..catalogue.fields import Id
from ..errors import ArtifactError, printable, reading
from ..words import first_mistake
from .records import CaseRecord, FileRecord, ManifestPart, RunRecord

NAME = "manifest.json"
SCHEMA = 1


class Accepted(ManifestPart):
    """An intended change of a published image."""

    reason: str
    replaced: dict[str, str] = Field(description="What the data repository held before: its git blob ids, by file.")


class PublishedCase(ManifestPart):
    """Where a published case comes from."""

    run: str = Field(description="A key of `runs`.")
    accepted: Accepted | None = None


class Publication(ManifestPart):
    """What the manifest of published GT holds besides: its cases may come from many runs."""

    runs: dict[str, RunRecord] = Field(description="By id; each names just those of its cases that are published here.")
    cases: dict[Id, PublishedCase]


class Manifest(ManifestPart):
    """The one JSON file beside the images."""

    schema_version: Literal[1] = 1
    run: RunRecord = Field(description="In published GT, the newest of its runs.")
    publication: Publication | None = Field(None, description="In published GT only.")
    cases: dict[Id, CaseRecord]

    @model_validator(mode="after")
    def _each_name_stands_for_one_thing(self) -> Self:
        files = [NAME, *(file.name for record in self.cases.values() for file in record.files)]
        for what, names in (("case", self.cases), ("file", files)):
            if twins := alike(names):
                raise ValueError(f"{twins[0]} and {twins[1]} are one {what} where upper and lower case are the same")
        for name, record in self.cases.items():
            if record.case.get("id", name) != name:
                raise ValueError(f"case {name} holds a case of another id")
        publication = self.publication
        if publication is not None:
            if publication.cases.keys() != self.cases.keys():
                raise ValueError("publication.cases names other cases than cases")
            for name, origin in publication.cases.items():
                if origin.run not in publication.runs:
                    raise ValueError(f"publication.cases.{name} names a run that publication.runs does not hold")
        return self

    def text(self) -> str:
        """As it is written: stable order, one key a line, so that two manifests compare."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"

    @property
    def files(self) -> dict[str, FileRecord]:
        """Every file of the artifact by name."""
        return {file.name: file for record in self.cases.values() for file in record.files}


def alike(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that are one where upper and lower case are the same, as on macOS and Windows."""
    spellings: dict[str, str] = {}
    for name in names:
        if name.casefold() in spellings:
            return spellings[name.casefold()], name
        spellings[name.casefold()] = name
    return None


def folder_of(path: Path) -> Path:
    """The folder of an artifact that is named by itself or by its manifest. Raises ArtifactError for another file."""
    if path.name == NAME and path.is_file():
        return path.parent
    if path.is_dir() or not path.exists():
        return path
    raise ArtifactError(f"{path} is a file; name the folder that holds an artifact's images and its {NAME}")


def read(artifact: Path) -> Manifest:
    """Read an artifact's manifest. Raises ArtifactError where there is none, or none that can be read."""
    path = folder_of(artifact) / NAME
    if not path.is_file():
        raise ArtifactError(f"{artifact} is no artifact: it holds no {NAME}; `gt generate -o DIR` makes one")
    with reading(path, ArtifactError):
        content = path.read_bytes()
    return parse(content, str(path))


def parse(content: str | bytes, name: str) -> Manifest:
    """A manifest from its text; `name` says where that is from. Raises ArtifactError."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise ArtifactError(f"{name} {_mistake(error)}") from None


def _mistake(error: ValidationError) -> str:
    for mistake in error.errors(include_url=False):
        version = mistake["input"]
        if mistake["loc"] == ("schema_version",) and type(version) is int and version > SCHEMA:
            return f"was made by a newer version of diffusion-gt (its schema_version is {version}); update this one"
    return f"is no manifest of this version: {printable(first_mistake(error))}"


def run_id(run: RunRecord) -> str:
    """Names a run in published GT; the same for one artifact, however often it is published."""
    text = json.dumps(run.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
