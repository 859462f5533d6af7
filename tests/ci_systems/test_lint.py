"""Every CI file: valid by the vendors' schemas, its shell sound, its actions pinned, and no input in a shell."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ci_systems.github import load, steps
from tests.conftest import ROOT

ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = [
    (f"{path.name} step {number} {step.get('id', '')}", step)
    for path in (ACTION, *WORKFLOWS)
    for number, step in enumerate(steps(load(path)))
    if "run" in step
]
NEWER = r'property "workflow_(repository|sha|ref)" is not defined'  # GitHub has them, actionlint 1.7.12 does not


def schema(name: str, *files: Path) -> None:
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", name, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_and_action_are_valid_by_githubs_schemas() -> None:
    schema("vendor.github-workflows", *WORKFLOWS)
    schema("vendor.github-actions", ACTION)


def test_workflows_have_nothing_that_actionlint_or_shellcheck_objects_to(actionlint: str) -> None:
    done = subprocess.run([actionlint, "-ignore", NEWER, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "step"), SCRIPTS, ids=[name for name, _ in SCRIPTS])
def test_a_script_is_sound_shell_and_gets_no_expression(name: str, step: dict[str, Any], shellcheck: str) -> None:
    assert "${{" not in step["run"], "what an expression gives goes through env"
    lint(shellcheck, step["run"])


def test_our_own_scripts_are_sound_shell(shellcheck: str) -> None:
    for name in (".ci/run", ".ci/install", ".github/install-dagger", ".github/call-module", ".github/log-groups"):
        lint(shellcheck, (ROOT / name).read_text())


def lint(shellcheck: str, script: str) -> None:
    command = [shellcheck, "--shell=bash", "--severity=style", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_actions_of_others_are_pinned_by_commit_with_the_tag_told(path: Path) -> None:
    for uses, comment in used(path):
        assert re.search(r"@[0-9a-f]{40}$", uses), uses
        assert re.match(r" # v[0-9.]+$", comment), f"{uses}{comment}"


def test_an_action_has_one_version_everywhere() -> None:
    pins = {uses for path in (ACTION, *WORKFLOWS) for uses, _ in used(path)}
    assert len(pins) == len({uses.partition("@")[0] for uses in pins}), sorted(pins)


def used(path: Path) -> list[tuple[str, str]]:
    """The actions of others that a file uses, each with what stands behind it."""
    actions: list[tuple[str, str]] = re.findall(r"uses: *([^.\s]\S*)(.*)", path.read_text())
    return actions


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_ask_for_least_and_leave_no_credentials_behind(path: Path) -> None:
    workflow = load(path)
    for name, job in workflow["jobs"].items():
        granted = job.get("permissions", workflow.get("permissions"))
        assert granted is not None, f"{name} has whatever the repository's default is"
        assert granted != "write-all"
        assert "timeout-minutes" in job or "uses" in job, name
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_action_uses_every_input_and_no_other() -> None:
    action = load(ACTION)
    used = set(re.findall(r"inputs\.([a-z-]+)", json.dumps(action["runs"])))
    assert used == set(action["inputs"])
