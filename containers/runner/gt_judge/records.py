"""The manifest as far as the judge reads it; `ci/artifact/manifest.py` owns the whole model.

What is not named here may be there too: the comparison shows how two records differ in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NotRequired, cast

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from .errors import JudgeError
from .text import mistakes

MANIFEST = "manifest.json"
LOCK = "gt.lock"  # beside published GT that `gt fetch` brought
VERSION = 1

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # goes into paths


class FileRecord(TypedDict):
    """One file of a case."""

    name: Name
    sha256: str
    width: int
    height: int


class Gpu(TypedDict):
    """What a case ran on."""

    kind: Name


class Call(TypedDict):
    """The arguments of a case that say how large its images are."""

    width: NotRequired[int | None]
    height: NotRequired[int | None]


class Needs(TypedDict):
    """What a case asks of a machine."""

    gpu: NotRequired[Name]


class Output(TypedDict):
    """What decides the names of a case's files."""

    kind: Literal["image", "video"]
    format: Name
    name_gpus: int


class Case(TypedDict):
    """A case as its file has it."""

    call: NotRequired[Call]
    needs: NotRequired[Needs]
    output: NotRequired[Output]


class CaseRecord(TypedDict):
    """What became of one case."""

    status: str
    reason: NotRequired[str | None]
    source: str
    case: Case
    gpu: NotRequired[Gpu | None]
    files: list[FileRecord]


class Tool(TypedDict):
    """The diffusion-gt that made the artifact."""

    version: str
    commit: str | None
    dirty: bool | None


class Host(TypedDict):
    """The machine that the run was started on."""

    gpu: str
    gpu_name: str | None


class Run(TypedDict):
    """The run that made the artifact."""

    tool: Tool
    started: str
    host: Host


class Manifest(TypedDict):
    """`manifest.json`."""

    schema_version: int
    run: Run
    cases: dict[Name, CaseRecord]


_MODEL = TypeAdapter(Manifest)


def read(folder: Path) -> Manifest | None:
    """The manifest of a directory, or None where there is none. Raises JudgeError for one of another shape."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8") if path.is_file() else "")
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise JudgeError(f"{path} is made by a newer version of diffusion-gt: update this one")
        _MODEL.validate_python(data, strict=True)
    except ValidationError as error:
        raise JudgeError(f"{path} is no manifest: {next(mistakes(error))}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise JudgeError(f"{path} is no manifest: {str(error) or type(error).__name__}") from None
    return cast("Manifest", data)


def cases(folder: Path) -> Mapping[str, CaseRecord]:
    """The case records of a directory's manifest; none where there is none. Raises as `read`."""
    manifest = read(folder)
    return {} if manifest is None else manifest["cases"]


def kinds(records: Mapping[str, CaseRecord]) -> dict[str, str | None]:
    """The GPU kind by the name of each file."""
    return {file["name"]: kind_of(record) for record in records.values() for file in record["files"]}


def kind_of(record: CaseRecord) -> str | None:
    """The GPU kind that made a case, where the record knows it."""
    gpu = record.get("gpu")
    return gpu["kind"] if gpu else None
