"""The child pipeline that generates on GitLab: a job for each entry of a CI matrix, and all that comes after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from . import host
from .errors import GtError

FIXED = Path(__file__).with_name("gitlab.yml")
MOST = 100_000  # bytes of the matrix in one variable; Linux takes 128 KiB of each string of an environment
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Entry(BaseModel):
    """What a job is made of; the further keys of an entry are not needed here."""

    job: Word
    case_ids: str = Field(pattern=r"^[A-Za-z0-9._ -]+$")
    gpu: str
    runner: Word


class Matrix(BaseModel):
    """What `matrix` gives."""

    include: list[Entry] = Field(min_length=1)


def pipeline(text: str, tag: str) -> str:
    """The pipeline as YAML; `tag` is that of the runners for what needs no GPU.

    Raises GtError where the text is no matrix, or has more cases than a variable holds.
    """
    try:
        matrix = Matrix.model_validate_json(text)
    except ValidationError as error:
        first = " ".join(str(error).splitlines()[:3])
        raise GtError(f"this is no matrix: {first}; `gt matrix` prints one") from None
    wanted = matrix.model_dump_json(include={"include": {"__all__": {"job", "case_ids"}}})
    if len(wanted) > MOST:
        raise GtError(f"{len(matrix.include)} jobs are too many for one pipeline; select fewer cases")
    jobs: dict[str, Any] = yaml.safe_load(FIXED.read_text(encoding="utf-8"))
    jobs[".gt"]["tags"] = [tag]
    jobs["collect"]["variables"] = {"GT_MATRIX": _as_it_is(wanted)}
    jobs |= {f"generate {entry.job}": _job(entry) for entry in matrix.include}
    return json.dumps(jobs, indent=1) + "\n"  # which is YAML too


def _job(entry: Entry) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "GT_JOB": _as_it_is(entry.job),
        "GT_JOB_CASES": _as_it_is(",".join(entry.case_ids.split())),
    }
    if entry.gpu in (host.ANY, host.CPU):
        return {"extends": ".generate", "variables": variables}
    variables["_EXPERIMENTAL_DAGGER_GPU_SUPPORT"] = "1"  # for an engine that the CLI starts
    return {"extends": ".generate", "variables": variables, "tags": [entry.runner]}


def _as_it_is(value: str) -> dict[str, Any]:
    return {"value": value, "expand": False}
