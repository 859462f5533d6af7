"""The child pipeline that generates on GitLab: a job for each entry of a CI matrix, and all that comes after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ..catalogue import gpus
from ..errors import GtError
from . import matrix

FIXED = Path(__file__).with_name("gitlab.yml")
MOST = 100_000  # bytes of the matrix in one variable; Linux takes 128 KiB of each string of an environment


class JobEntry(matrix.Entry):
    """What a job is made of."""

    gpu: str
    runner: matrix.Word


def pipeline(text: str, tag: str) -> str:
    """The pipeline as YAML; `tag` is that of the runners for what needs no GPU.

    Raises GtError where the text is no matrix, or has more cases than a variable holds.
    """
    entries = matrix.entries(text, JobEntry)
    variable = json.dumps({"include": [entry.model_dump(include={"job", "case_ids"}) for entry in entries]})
    if len(variable) > MOST:
        raise GtError(f"{len(entries)} jobs are too many for one pipeline; select fewer cases")
    jobs: dict[str, Any] = yaml.safe_load(FIXED.read_text(encoding="utf-8"))
    jobs[".gt"]["tags"] = [tag]
    jobs["collect"]["variables"] = {"GT_MATRIX": _as_it_is(variable)}
    jobs |= {f"generate {entry.job}": _job(entry) for entry in entries}
    return json.dumps(jobs, indent=1) + "\n"  # which is YAML too


def _job(entry: JobEntry) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "GT_JOB": _as_it_is(entry.job),
        "GT_JOB_CASES": _as_it_is(",".join(entry.cases)),
    }
    if entry.gpu in (gpus.ANY, gpus.CPU):
        return {"extends": ".generate", "variables": variables}
    variables["_EXPERIMENTAL_DAGGER_GPU_SUPPORT"] = "1"  # for an engine that the CLI starts
    return {"extends": ".generate", "variables": variables, "tags": [entry.runner]}


def _as_it_is(value: str) -> dict[str, Any]:
    return {"value": value, "expand": False}
