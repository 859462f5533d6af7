"""A task on its node: what it does with the GPU and the container that it finds there. No Slurm, no torch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

DIGEST = "sha256:" + "5" * 64
IMAGE = f"registry.example/smoke@{DIGEST}"
H100 = "NVIDIA H100 80GB HBM3, 81559"
DONE = json.dumps({"event": "done", "case": "one", "record": {}})


def program(folder: Path, name: str, script: str) -> None:
    """A stand-in that comes first on the path of the task."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / name).chmod(0o755)


def run(folder: Path, **changes: Any) -> tuple[int, list[dict[str, Any]]]:
    """Run a task of one case; returns its exit status and its events."""
    places = {"store": str(folder / "store"), "cache": str(folder), "models": None, "previous": None}
    case = {"id": "one", "base": str(folder / "cases"), "prompt": "x" * 100_000}  # more than a pipe holds
    job = {"name": "job", "source": "smoke", "gpus": 1, "cases": [case]}
    spec = {"gpu": "h100", "gpus": 1, "container": "apptainer", "image": IMAGE, **changes}
    array = folder / "slurm" / "array"
    array.mkdir(parents=True)
    (array / "0.json").write_text(json.dumps({**spec, "run": {**places, "jobs": [job], "fresh": False, "nonce": None}}))
    env = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}/usr/bin:/bin", "SLURMD_NODENAME": "node7"}
    done = subprocess.run(
        [sys.executable, "-m", "ci.run.on_slurm.task", str(array), "0"],
        env={**env, "HF_HOME": str(folder / "hub")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in (array / "0.0.jsonl").read_text().splitlines()]


def test_the_job_runs_in_the_image_on_the_card_that_is_there_with_its_folders_mounted(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", f"echo '{H100}'")
    script = f'echo "$@" >{tmp_path}/called; echo "$HF_HOME" >{tmp_path}/home; head -n 1 >{tmp_path}/run'
    program(tmp_path, "apptainer", f"{script}; echo '{DONE}'")
    status, (node, done) = run(tmp_path)
    assert (status, node["node"], node["machine"]["kind"], done["event"]) == (0, "node7", "h100", "done")
    command = (tmp_path / "called").read_text()
    assert re.fullmatch(rf"exec --nv --bind \S+ --pwd /gt docker://{IMAGE} python -m gt_runner run -\n", command)
    assert (tmp_path / "home").read_text() == "\n"  # the image says where it has them
    for folder in (f"{tmp_path}:{tmp_path}", f"{tmp_path}/cases:{tmp_path}/cases", f"{tmp_path}/hub:/gt/weights"):
        assert folder in command
    assert (tmp_path / "store").is_dir()  # before the first result too: nothing mounts what is not there
    (job,) = json.loads((tmp_path / "run").read_text())["jobs"]
    assert (job["device"], job["gpu_kind"], job["card"]["name"]) == ("cuda", "h100", "NVIDIA H100 80GB HBM3")
    (file,) = (tmp_path / "slurm" / "machines" / "h100").iterdir()
    assert json.loads(file.read_text())["gpu_name"] == "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("card", "changes", "reason"),
    [
        ("NVIDIA A100-SXM4-80GB, 81920", {}, "needs 1 x h100, and on node7 Slurm gave it 1 x NVIDIA A100-SXM4-80GB"),
        (H100, {"gpus": 2}, "needs 2 x h100, and on node7 Slurm gave it 1 x NVIDIA H100 80GB HBM3"),
        (H100, {}, "its runner does not start on node7: .*apptainer"),
    ],
)
def test_what_the_node_does_not_have_fails_the_cases_in_words(
    tmp_path: Path, card: str, changes: dict[str, Any], reason: str
) -> None:
    program(tmp_path, "nvidia-smi", f"echo '{card}'")
    status, (_, failed) = run(tmp_path, **changes)
    assert (status, failed["event"], failed["case"]) == (1, "failed", "one")
    assert re.search(reason, failed["reason"])


@pytest.mark.parametrize("start", ["", "sleep 0.5;", "head -n 1 >/dev/null;"])
def test_a_container_that_does_not_start_ends_the_task_with_a_status_that_slurm_calls_a_failure(
    tmp_path: Path, start: str
) -> None:
    program(tmp_path, "nvidia-smi", f"echo '{H100}'")
    program(tmp_path, "apptainer", f"{start} exit 255")
    status, (node,) = run(tmp_path)
    assert (status, node["event"]) == (1, "node")


def test_a_case_that_ends_with_all_processes_of_its_task_has_not_failed(tmp_path: Path) -> None:
    failed = json.dumps({"event": "failed", "case": "one", "phase": "fetch", "reason": "the fetch process ended early"})
    program(tmp_path, "nvidia-smi", f"echo '{H100}'")
    program(tmp_path, "apptainer", f"head -n 1 >/dev/null; sleep 0.3; kill -TERM $PPID; sleep 0.2; echo '{failed}'")
    status, (_, ended) = run(tmp_path)
    assert (status, ended) == (1, {"event": "skipped", "case": "one", "reason": "interrupted"})
