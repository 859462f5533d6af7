"""The action end to end: its steps as they stand in action.yml, the real Dagger CLI, a real engine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.ci_systems.conftest import tool
from tests.ci_systems.github import GitHub, WorkflowRun, snapshot
from tests.ci_systems.test_action import HOSTILE, parameters
from tests.conftest import ROOT
from tests.engine.conftest import options_in
from tests.engine.test_generate import smoke_cases

ENGINE = ("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "DAGGER_NO_NAG", "DO_NOT_TRACK")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return snapshot(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def github(engine: str, checkout: Path, tmp_path: Path) -> GitHub:
    return GitHub(tool("act"), tmp_path / "github", checkout)


def act(github: GitHub, **inputs: str) -> WorkflowRun:
    """Run a workflow of one job with the action, on the CPU."""
    given = {"source-group": "smoke", "on": "cpu", **{name.replace("_", "-"): text for name, text in inputs.items()}}
    told = {"TOLD": "${{ toJSON(steps.gt.outputs) }}"}
    steps = [
        {"id": "gt", "uses": "OWNER/diffusion-gt@v1", "with": given},
        {"id": "after", "if": "always()", "env": told, "run": 'printf %s "$TOLD"'},
    ]
    workflow = yaml.safe_dump(
        {"on": "workflow_dispatch", "jobs": {"job": {"runs-on": "ubuntu-latest", "steps": steps}}}
    )
    env = {name: os.environ[name] for name in (*ENGINE, "PATH") if name in os.environ}
    return github.run(workflow, env=env, timeout=900)


def test_the_action_gives_a_whole_artifact_its_counts_and_a_table(github: GitHub) -> None:
    ran = act(github, artifact_name="smoke", case_ids="smoke_t2i, smoke_ti2i")
    assert ran.result("gt") == "success", ran.log()[-3000:]
    artifact = ran.artifact("smoke")
    manifest = json.loads((artifact / "manifest.json").read_text())
    jsonschema.validate(manifest, json.loads((ROOT / "ci" / "artifact" / "manifest.schema.json").read_text()))
    files = [file["name"] for case in manifest["cases"].values() for file in case["files"]]
    assert {path.name for path in artifact.iterdir()} == {"manifest.json", *files}
    outputs = json.loads(ran.log("after"))
    assert (outputs["case-count"], outputs["failed-count"]) == ("2", "0")
    assert ran.summary.startswith("### Ground truth: 2 of 2 cases\n")
    assert all(name.replace("_", r"\_") in ran.summary for name in files)


@pytest.mark.long
def test_a_case_that_fails_makes_it_red_once_the_artifact_is_whole(github: GitHub, tmp_path: Path) -> None:
    cases = smoke_cases(tmp_path / "cases", mine_good={}, mine_broken={"model": {"tiny": "NoSuchPipeline"}})
    ran = act(github, artifact_name="smoke", cases=str(cases))
    assert (ran.status, ran.result("gt"), ran.result("gt", "verdict")) == (1, "failure", "failure")
    assert "mine_broken: failed: " in ran.log("gt", "verdict")
    manifest = json.loads((ran.artifact("smoke") / "manifest.json").read_text())
    assert {name: case["status"] for name, case in manifest["cases"].items()} == {
        "mine_good": "ok",
        "mine_broken": "failed",
    }
    assert json.loads(ran.log("after"))["failed-count"] == "1"
    assert "NoSuchPipeline" in ran.summary


@pytest.mark.long
def test_hostile_ids_are_refused_by_name_and_never_run(github: GitHub, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    ran = act(github, case_ids="\n".join(HOSTILE).format(canary=canary))
    assert ran.result("gt", "generate") == "failure"
    assert not canary.exists()
    said = ran.log("gt", "generate")
    assert "no case is named '--official=true'" in said
    assert "no case is named '$(touch'" in said


def test_the_cli_takes_what_the_actions_own_tests_hold_it_to(help_of: Callable[[str], str]) -> None:
    for verb in ("generate", "publish"):  # the others ran above, with every option
        assert {f"--{name}" for name in parameters(verb)} <= options_in(help_of(verb)), verb
