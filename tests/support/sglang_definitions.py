"""A stand-in for the test definitions of an sglang checkout: our own cases, in the shapes that upstream's files have.

Running any of its files raises, and leaves a file behind: nothing of an engine may be run to read it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.factory import body, write_cases

SERVER = Path("python/sglang/multimodal_gen/test/server")
WORKFLOW = Path(".github/workflows/diffusion-ci-gt-gen.yml")

TRAP = """
import pathlib

(pathlib.Path(__file__).parent / "was-run").touch()
raise SystemExit("an engine's tests were run")
"""

NAMES = (
    """
FOX_MODEL = "toys/fox"
"""
    + TRAP
)

CONFIGS = (
    '''
from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from typing import Any

from sglang.multimodal_gen.registry import get_model_info


@dataclass
class DiffusionServerArgs:
    """As upstream's."""

    model_path: str
    modality: str | None = None
    num_gpus: int = 1
    extras: list[str] = field(default_factory=lambda: [])
    env_vars: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if self.modality is None:
            self.modality = get_model_info(self.model_path)


@dataclass(frozen=True)
class DiffusionSamplingParams:
    output_size: str = ""
    prompt: str | None = None
    image_path: str | None = None
    output_format: str | None = None
    extras: dict = field(default_factory=dict)


@dataclass(frozen=True)
class DiffusionTestCase:
    id: str
    server_args: DiffusionServerArgs
    sampling_params: DiffusionSamplingParams | None = None
    run_consistency_check: bool = True


FOX = "a red fox"
COMMON = {"seed": 7}
TEXT_params = DiffusionSamplingParams(prompt=FOX, output_size="64x64")
EDIT_params = DiffusionSamplingParams(prompt=f"{FOX} in snow", image_path="https://example.org/fox.jpg")
JSON_params = replace(
    TEXT_params,
    prompt=json.dumps({"subject": FOX, "box": [1, 2]}, separators=(",", ":")),
    output_format="png",
    extras={**COMMON, "steps": 8},
)
LOCAL_params = replace(TEXT_params, image_path=os.getenv("FOX_IMAGE") or "fox.jpg")


def get_default_sampling_params_for_model_task(task_type):
    if task_type == ModelTaskType.T2I:
        return TEXT_params
    if task_type in (ModelTaskType.I2I, ModelTaskType.TI2I):
        return EDIT_params
    raise ValueError(task_type)


def _make_case(case_id: str, *, extras: list[str], env_vars: dict | None = None) -> DiffusionTestCase:
    return DiffusionTestCase(
        case_id,
        DiffusionServerArgs(model_path="toys/quick", modality="image", extras=extras, env_vars=env_vars or {}),
        JSON_params,
        run_consistency_check=False,
    )


def _with_gpus(cases, num_gpus):
    return [replace(case, server_args=replace(case.server_args, num_gpus=num_gpus)) for case in cases]
'''
    + TRAP
)

CASES = (
    """
from dataclasses import replace
from pathlib import Path

from sglang.multimodal_gen.runtime.platforms import current_platform
from sglang.multimodal_gen.test.server.testcase_configs import (
    EDIT_params,
    LOCAL_params,
    TEXT_params,
    DiffusionSamplingParams,
    DiffusionServerArgs,
    DiffusionTestCase,
    _make_case,
    _with_gpus,
)
from sglang.multimodal_gen.test.test_utils import FOX_MODEL

HERE = Path(__file__).parent / "configs"

ONE_GPU_CASES: list[DiffusionTestCase] = [
    DiffusionTestCase("fox_t2i", DiffusionServerArgs(model_path=FOX_MODEL)),
    DiffusionTestCase(
        "fox_edit",
        DiffusionServerArgs(model_path=FOX_MODEL, extras=["--config", str(HERE / "fox.yaml")]),
        EDIT_params,
    ),
    # DiffusionTestCase("commented_out", DiffusionServerArgs(model_path=FOX_MODEL)),
]

if not current_platform.is_hip():
    ONE_GPU_CASES.append(DiffusionTestCase("fox_local", DiffusionServerArgs(model_path=FOX_MODEL), LOCAL_params))

if current_platform.is_hip():
    QUICK_CASES = []
else:
    QUICK_CASES = [_make_case("fox_quick", extras=["--quick", "toys/quick"])]
B200_CASES = [_make_case("fox_b200", extras=[])]

TWO_GPU_CASES = [DiffusionTestCase("fox_2gpu", DiffusionServerArgs(model_path=FOX_MODEL), TEXT_params)]
ONE_GPU_CASES += QUICK_CASES
TWO_GPU_CASES = _with_gpus(TWO_GPU_CASES, 2)

FILE_SUITES = {"unit": ["../unit"], "1-gpu-b200": ["test_server_b200.py"]}
PARAMETRIZED_CASE_GROUPS = {
    "1-gpu": [("test_server_1_gpu.py", ONE_GPU_CASES)],
    "2-gpu": [("test_server_2_gpu.py", TWO_GPU_CASES)],
}
"""
    + TRAP
)

B200 = (
    """
from sglang.multimodal_gen.test.server.common import fixture
from sglang.multimodal_gen.test.server.gpu_cases import B200_CASES


class TestB200:
    case = fixture(B200_CASES)
"""
    + TRAP
)

MATRIX = """
on: workflow_dispatch
jobs:
  plan:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          python3 - <<'PY'
          import os

          groups = {"diffusers": ["fox_t2i", "fox_edit"], "other": ["fox_2gpu"]}
          os.abort()
          PY
"""

FILES = {
    SERVER.parent / "test_utils.py": NAMES,
    SERVER / "testcase_configs.py": CONFIGS,
    SERVER / "gpu_cases.py": CASES,
    SERVER / "test_server_b200.py": B200,
    WORKFLOW: MATRIX,
}

SUITES = {
    "fox_t2i": "1-gpu",
    "fox_edit": "1-gpu",
    "fox_local": "1-gpu",
    "fox_quick": "1-gpu",
    "fox_2gpu": "2-gpu",
    "fox_b200": "1-gpu-b200",
}


def write(root: Path, changed: Mapping[Path, tuple[str, str]] | None = None) -> Path:
    """The checkout; `changed` puts one text in place of another in some of its files."""
    for path, text in FILES.items():
        old, new = (changed or {}).get(path, ("", ""))
        assert old in text
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text.replace(old, new) if old else text)
    return root


def write_ours(folder: Path) -> Path:
    """Case files that agree with the checkout: three official cases, one that can have none, and all native ones."""
    write_cases(
        folder,
        {name: body() for name in ("fox_t2i", "fox_edit", "fox_2gpu")},
        unavailable={"fox_quick": "quick is a feature of the engine"},
    )
    native = {name: _native(suite) for name, suite in SUITES.items() if name != "fox_local"}
    native["fox_t2i"]["definition"] = {"default_sampling_params": {"T2I": {"prompt": "a red fox"}}}
    write_cases(
        folder,
        native,
        source="sglang",
        engine={"repo": "sgl-project/sglang", "command": ["python", "-m", "made.up", "{case}"]},
        unavailable={"fox_local": "reads a file of its own"},
    )
    record(folder, write(folder.with_name("recorded")))
    return folder


def record(folder: Path, checkout: Path, ref: str = "v1.0") -> None:
    """Record what a checkout defines beside the case files of a folder, as who looks after them does."""
    command = [sys.executable, "-m", "ci.catalogue.upstream", str(checkout), ref, "--cases", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def commit(checkout: Path, tag: str) -> None:
    """Put what lies in a checkout into its history, under a tag."""
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", tag], ["tag", "-a", tag, "-m", tag]):
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *command]
        subprocess.run(git, cwd=checkout, check=True, capture_output=True)


def _native(suite: str) -> dict[str, Any]:
    return {
        "suite": suite,
        "model": {"repo": "toys/fox"},
        "needs": {"gpu": "h100", "gpus": 1},
        "output": {"kind": "image", "format": "jpg", "name_gpus": 1},
    }
