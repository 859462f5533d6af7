"""The key of a result follows the code that decides it, and no other code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ci.run import recipes
from gt_runner import environment
from gt_runner.contract import Job
from gt_runner.supervise.session import worker_env

DECIDES = [
    "../gt_pictures/reading.py",
    "contract.py",
    "sources/conditioning.py",
    "sources/diffusers.py",
    "sources/frames.py",
    "sources/ltx.py",
    "sources/shapes/model_index.json",
    "sources/tiny/weights.py",
    "sources/variables.py",
    "sources/wan.py",
    "sources/wan21.py",
    "sources/wan22.py",
    "work/official.py",
    "work/output.py",
    "work/torch_state.py",
]
DOES_NOT = [
    "__main__.py",
    "environment.py",
    "errors.py",
    "events.py",
    "fetch/hub.py",
    "fetch/preflight.py",
    "fetch/retry.py",
    "store.py",
    "supervise/console.py",
    "supervise/supervisor.py",
    "tasks.py",
]


@pytest.fixture
def containers(tmp_path: Path) -> Path:
    return Path(shutil.copytree(recipes.CONTAINERS, tmp_path / "containers"))


def runner_digest(containers: Path) -> str:
    code = "from gt_runner.environment import runner_digest; print(runner_digest())"
    env = os.environ | {"PYTHONPATH": str(containers / "runner")}
    return subprocess.check_output([sys.executable, "-c", code], text=True, env=env)


def recipe_digest(containers: Path) -> str:
    return recipes.recipe("diffusers", "base@sha256:" + "0" * 64, containers).digest


@pytest.mark.parametrize("digest", [runner_digest, recipe_digest])
def test_code_that_decides_no_bit_keeps_the_key_and_code_that_does_changes_it(
    containers: Path, digest: Callable[[Path], str]
) -> None:
    package = containers / "runner" / "gt_runner"
    first = digest(containers)
    for name in DOES_NOT:
        (package / name).write_text((package / name).read_text() + "\n# reworded\n")
    (package / "supervise" / "another.py").write_text("")
    assert digest(containers) == first
    seen = {first}
    for name in DECIDES:
        (package / name).write_text((package / name).read_text() + "\n# changed\n")
        seen.add(digest(containers))
    (package / "sources" / "another.py").write_text("")
    seen.add(digest(containers))
    assert len(seen) == len(DECIDES) + 2


def test_every_pattern_of_the_list_finds_code() -> None:
    root = recipes.CONTAINERS / "runner"
    for pattern in (root / "gt_runner" / "result_code.txt").read_text().split():
        assert list(root.glob(pattern)), pattern


def test_a_worker_has_the_variables_on_which_results_depend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF", raising=False)
    job: Job = {"name": "j", "source": "diffusers", "device": "cuda", "gpu_kind": "h100", "gpus": 1, "cases": []}
    env = worker_env(job, ["0"])
    assert (env["PYTHONHASHSEED"], env["PYTORCH_CUDA_ALLOC_CONF"]) == ("0", "expandable_segments:True")
    assert (env["HF_HUB_OFFLINE"], "HF_TOKEN" in env) == ("1", False)
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64")
    assert worker_env(job, ["0"])["PYTORCH_CUDA_ALLOC_CONF"] == "max_split_size_mb:64"


def test_cores_are_counted_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= environment.cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # macOS has none
    assert environment.cores() == os.cpu_count()
