"""Other CIs than GitHub's, on a real engine: the script and the GitLab pipeline, as they stand in their files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.ci_systems.conftest import tool
from tests.conftest import ROOT

SELECTED = ("smoke_t2i", "smoke_ti2i")


def run(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "DAGGER_NO_NAG": "1", "GT_MODULE": str(ROOT), **env}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False)


def cases(artifact: Path) -> dict[str, str]:
    manifest = json.loads((artifact / "manifest.json").read_text())
    return {name: case["status"] for name, case in manifest["cases"].items()}


@pytest.mark.long
def test_the_script_generates_compares_and_ends_in_a_verdict(engine: str, tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "shell" / "gt.sh")
    selected = ["--source-group=smoke", "--on=cpu", f"--case-ids={','.join(SELECTED)}"]
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, published in ((first, ""), (second, str(first / "gt"))):
        folder.mkdir()
        done = run(script, *selected, cwd=folder, GT_PUBLISHED=published)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "### Ground truth: 2 of 2 cases" in done.stdout
        assert cases(folder / "gt") == dict.fromkeys(SELECTED, "ok")
    compared = json.loads((second / "gt-comparison" / "compare.json").read_text())
    assert compared["same"]
    bad = run(script, "--source-group=smoke", "--case-ids=smoke_t2x", cwd=tmp_path)
    assert bad.returncode != 0
    assert "no case is named" in bad.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A GitLab project that includes the template."""
    folder = tmp_path / "project"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "gt.yml").write_text((ROOT / "templates" / "gt.yml").read_text())
    inputs = {
        "tag": "docker",
        "module": str(ROOT),
        "source-group": "smoke",
        "on": "cpu",
        "case-ids": " ".join(SELECTED),
    }
    include = [{"local": "templates/gt.yml", "inputs": inputs}]
    (folder / ".gitlab-ci.yml").write_text(yaml.safe_dump({"include": include}))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in ("init -q -b main", "remote add origin git@gitlab.example:a/b.git", "add .", "commit -qm a"):
        subprocess.run([*git, *command.split()], cwd=folder, check=True)
    return folder


@pytest.mark.long
def test_a_gitlab_pipeline_generates_each_job_collects_and_ends_in_a_verdict(engine: str, project: Path) -> None:
    tool("rsync")
    done = run(tool("gitlab-ci-local"), "--force-shell-executor", "--shell-isolation", cwd=project)
    said = done.stdout + done.stderr
    assert "FAIL" not in said, said[-5000:]
    assert "### Ground truth: 2 of 2 cases" in said
    assert "gt: artifact is whole" in said
    (collected,) = (path.parent for path in project.rglob("gt/manifest.json") if "artifacts" in path.parts)
    assert cases(collected) == dict.fromkeys(SELECTED, "ok")
