"""What checks this repository: .ci/run, the import contracts, pre-commit, Renovate, the issue forms."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci_systems.test_lint import schema
from tests.conftest import ROOT

RUN = ROOT / ".ci" / "run"
COMMANDS = re.findall(r"uv run (?:--locked )?(.+)$", RUN.read_text(), re.MULTILINE)
RENOVATE = json.loads((ROOT / "renovate.json").read_text())
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
FOLDERS = (".ci", ".github", "ci", "containers", "deploy", "docs", "templates")  # where Renovate looks for versions


def run_checks(folder: Path, failing: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of .ci/run with an `uv` that prints its arguments, and fails for one command."""
    for name in (".ci", "bin"):
        (folder / name).mkdir()
    shutil.copy(RUN, folder / ".ci")
    script = f'echo "$*"\n[ "$*" != "{failing}" ] || exit 1\n[ "$*" != "run pytest" ] || echo "closing line"'
    for path, text in ((folder / ".ci" / "install", "true"), (folder / "bin" / "uv", script)):
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    env = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "GT_ENGINE": str(folder / "none")}
    return subprocess.run([folder / ".ci" / "run"], env=env, capture_output=True, text=True, check=False)


def test_the_checks_are_a_short_script_that_ends_with_the_test_runners_last_line(tmp_path: Path) -> None:
    assert len(RUN.read_text().splitlines()) <= 30
    done = run_checks(tmp_path, failing="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("run pytest\nclosing line\n")


@pytest.mark.parametrize("command", re.findall(r"\buv (sync .+|run (?:--locked )?.+)$", RUN.read_text(), re.MULTILINE))
def test_a_check_that_fails_is_the_last_and_fails_the_script(tmp_path: Path, command: str) -> None:
    done = run_checks(tmp_path, failing=command)
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == command


# A module, an import that its contract forbids, and the contract.
FORBIDDEN = [
    ("ci.errors", "ci.cli", "Layers of ci"),
    ("ci.catalogue.model", "ci.plan", "Layers of ci"),
    ("ci.publish.merge", "ci.run", "Layers of ci"),
    ("ci.plan.jobs", "dagger", "Cases, plans, artifacts and publishing work without Dagger"),
    ("ci.run.progress", "numpy", "ci stays light: no torch, no numpy"),
    ("gt_runner.errors", "gt_runner.work", "Layers of the runner"),
    ("gt_judge.pool", "gt_runner.contract", "The judge imports neither the runner nor ci"),
    ("gt_runner.contract", "gt_judge", "The runner imports neither the judge nor ci"),
    ("gt_pictures.reading", "gt_judge", "Opening images knows nobody else's code"),
]


@pytest.mark.parametrize(("module", "forbidden", "contract"), FORBIDDEN)
def test_a_forbidden_import_makes_lint_imports_red(tmp_path: Path, module: str, forbidden: str, contract: str) -> None:
    runner = Path("containers") / "runner"
    for folder in (Path("ci"), runner):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / ("" if module.startswith("ci.") else runner) / f"{module.replace('.', '/')}.py"
    file.write_text(f"{file.read_text()}\nimport {forbidden}\n")
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / runner)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"{contract} BROKEN" in done.stdout
    assert f"{module} -> {forbidden} (" in done.stdout.split("Broken contracts")[1]


def test_pre_commit_runs_every_check_of_the_script() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    assert len(entries) == len(COMMANDS)
    for command, entry in zip(COMMANDS, entries, strict=True):
        assert entry.startswith(f"uv run --locked {command.removesuffix(' --check')}")  # it formats, as a commit may


def test_renovate_and_the_issue_forms_are_valid_by_their_vendors_schemas() -> None:
    schema("vendor.renovate", ROOT / "renovate.json")
    schema("vendor.github-issue-config", FORMS / "config.yml")
    schema("vendor.github-issue-forms", *(path for path in FORMS.iterdir() if path.name != "config.yml"))


@pytest.mark.parametrize("manager", RENOVATE["customManagers"], ids=lambda each: str(each["description"]))
def test_renovate_finds_each_version_that_it_keeps(manager: dict[str, Any]) -> None:
    patterns = [re.compile(pattern.strip("/").replace("\\/", "/")) for pattern in manager["managerFilePatterns"]]
    paths = [ROOT / "dagger.json", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    files = [path for path in paths if path.is_file() and any(p.search(str(path.relative_to(ROOT))) for p in patterns)]
    texts = [path.read_text(errors="replace") for path in files]
    for match in manager["matchStrings"]:
        expression = re.compile(match.replace("(?<", "(?P<"))  # JavaScript names groups without a P
        versions = {each["currentValue"] for text in texts for each in expression.finditer(text)}
        assert len(versions) == 1, f"{match}: {versions}"


def test_renovate_writes_the_base_images_digest_where_gt_pin_reads_it() -> None:
    manager = RENOVATE["customManagers"][0]
    text = (ROOT / "containers" / "images.yaml").read_text()
    (match,) = re.finditer(manager["matchStrings"][0].replace("(?<", "(?P<"), text)
    digest = f"sha256:{'0' * 64}"
    new = manager["autoReplaceStringTemplate"].replace("{{{depName}}}", match["depName"])
    new = new.replace("{{{newValue}}}", match["currentValue"]).replace("{{{newDigest}}}", digest)
    before, after = yaml.safe_load(text), yaml.safe_load(text.replace(match[0], new))
    assert after == {**before, "base": {**before["base"], "digest": digest}}
