"""Makes valid cases for tests that do not care what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ci.catalogue.model import Case
from ci.catalogue.official import DiffusersCase

RUNTIME = {"dtype": "fp32", "generator_device": "cpu", "attention": "sdpa", "quantization": "none", "offload": "none"}
OF_REPOSITORIES = RUNTIME | {"dtype": "bf16", "generator_device": "cuda"}  # as the repositories of Wan and LTX run


def body(repo: str = "owner/model", gpu: str = "any", gpus: int = 1, **changes: Any) -> dict[str, Any]:
    """The body of a Diffusers case, as a case file has it."""
    return {
        "model": {"repo": repo},
        "needs": {"gpu": gpu, "gpus": gpus, "minutes": 1.5},
        "groups": ["diffusers"],
        "call": {"prompt": "a cat", "num_inference_steps": 2, "seed": 1},
        "runtime": RUNTIME,
        "output": {"kind": "image", "format": "png", "name_gpus": 1},
        **changes,
    }


def case(name: str, repo: str = "owner/model", gpu: str = "any", gpus: int = 1, **needs: Any) -> Case:
    """A validated Diffusers case."""
    made = body(repo, gpu, gpus)
    made["needs"] |= needs
    return Case(name, "diffusers", DiffusersCase.model_validate(made), None, Path("cases.yaml"))


def write_cases(folder: Path, cases: dict[str, Any], source: str = "diffusers", **header: Any) -> Path:
    """A cases directory of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"version": 1, "source": source, "cases": cases, **header}, sort_keys=False)
    (folder / f"{source}.yaml").write_text(text)
    return folder


def merged(part: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A part of a case with a change; None takes a key away."""
    return {key: value for key, value in (part | change).items() if value is not None}
