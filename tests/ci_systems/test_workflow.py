"""gt.yml and gt-make.yml: what the files promise by what stands in them; test_workflow_runs.py executes them."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import yaml

from tests.ci_systems.expressions import Evaluation, Expressions
from tests.ci_systems.github import load
from tests.conftest import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
GT, MAKE = WORKFLOWS / "gt.yml", WORKFLOWS / "gt-make.yml"
OUTER, INNER = load(GT), load(MAKE)
JOBS = {**INNER["jobs"], **OUTER["jobs"]}
TEXT = GT.read_text() + MAKE.read_text()
DISPATCHED, CALLED = (OUTER["on"][event]["inputs"] for event in ("workflow_dispatch", "workflow_call"))
# Those of upstream's inputs that ours has; sgl-project/sglang 0c829834, diffusion-ci-gt-gen.yml.
UPSTREAM = {
    "ref": ("string", ""),
    "case_ids": ("string", ""),
    "output_name": ("string", ""),
    "publish_target_dir": ("string", ""),
    "run_official_cases": ("boolean", False),
    "official_case_ids": ("string", ""),
    "official_source_group": ("string", ""),
}
SECTION = (ROOT / "docs" / "ci" / "github.md").read_text().split("\n## The workflow\n")[1].split("\n## ")[0]


def steps_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(job.get("steps", []))


def holders(job: str, word: str) -> list[str]:
    """The steps of a job that mention a word."""
    return [step.get("name", "") for step in steps_of(JOBS[job]) if word in json.dumps(step)]


def test_upstreams_inputs_are_there_with_their_types_and_defaults_for_dispatch_and_for_call() -> None:
    assert DISPATCHED == CALLED
    assert {name: (DISPATCHED[name]["type"], DISPATCHED[name]["default"]) for name in UPSTREAM} == UPSTREAM
    assert not any(each.get("required") for each in DISPATCHED.values())
    assert len(DISPATCHED) <= 25  # as many as GitHub lets one dispatch


def test_what_generates_gets_each_of_its_inputs_under_the_same_name() -> None:
    declared = INNER["on"]["workflow_call"]["inputs"]
    assert OUTER["jobs"]["make"]["with"] == {name: f"${{{{ inputs.{name} }}}}" for name in declared}
    assert all(each["type"] == DISPATCHED[name]["type"] for name, each in declared.items())


def test_githubs_own_parser_finds_no_mistake(expressions: Expressions) -> None:
    assert (expressions.mistakes(GT), expressions.mistakes(MAKE)) == ([], [])


def test_each_job_has_the_permissions_that_it_needs_and_no_other() -> None:
    assert OUTER["permissions"] == INNER["permissions"] == {}
    signs = {"contents": "read", "id-token": "write", "attestations": "write"}
    permissions_of = {name: job["permissions"] for name, job in JOBS.items()}
    assert permissions_of.pop("attest") == signs
    assert all(permissions == {"contents": "read"} for permissions in permissions_of.values())


def test_the_module_and_the_action_are_those_of_the_workflows_own_commit() -> None:
    own = {"repository": "${{ job.workflow_repository }}", "ref": "${{ job.workflow_sha }}", "path": ".diffusion-gt"}
    for job in JOBS.values():
        if steps_of(job):
            first = next(step for step in steps_of(job) if "uses" in step)
            assert first["with"] == {**own, "persist-credentials": False}
    assert [step["uses"] for step in steps_of(JOBS["generate"]) if step.get("id") == "generate"] == ["./.diffusion-gt"]
    assert set(re.findall(r"([\w.-]+)/\.github/call-module", TEXT)) == {".diffusion-gt"}


def test_jobs_end_in_time_and_one_that_fails_stops_no_other() -> None:
    limits = {name: job["timeout-minutes"] for name, job in JOBS.items() if "runs-on" in job}
    assert limits.pop("generate") == 240
    assert all(limit <= 60 for limit in limits.values())
    assert JOBS["generate"]["strategy"]["fail-fast"] is False
    assert JOBS["generate"]["runs-on"] == "${{ matrix.runner }}"


def test_no_step_gets_the_matrix_in_a_variable_which_linux_limits_to_128_kib() -> None:
    assert [name for name in JOBS if holders(name, "outputs.matrix")] == []


def test_a_newer_run_reaches_no_publish_under_way() -> None:
    """GitHub cancels what holds the group of the newer run's job: here the calling job, with everything in gt-make."""
    assert "concurrency" not in OUTER
    assert "concurrency" not in INNER
    assert [name for name, job in JOBS.items() if "concurrency" in job] == ["make"]
    assert JOBS["make"]["uses"] == "./.github/workflows/gt-make.yml"
    assert not re.search(r"call-module publish", MAKE.read_text())
    assert (JOBS["publish"]["needs"], JOBS["attest"]["needs"]) == ("make", "make")


def test_each_token_reaches_the_one_step_that_needs_it() -> None:
    held = {
        secret: {job: holders(job, f"secrets.{secret}") for job in JOBS} for secret in ("HF_TOKEN", "GT_PUBLISH_TOKEN")
    }
    assert {job: steps for job, steps in held["HF_TOKEN"].items() if steps} == {"generate": ["Generate"]}
    assert {job: steps for job, steps in held["GT_PUBLISH_TOKEN"].items() if steps} == {"publish": ["Publish"]}
    assert JOBS["make"]["secrets"] == {"HF_TOKEN": "${{ secrets.HF_TOKEN }}"}
    assert JOBS["publish"]["environment"] == "${{ inputs.environment }}"
    assert set(re.findall(r"secrets\.(\w+)", TEXT)) == {"HF_TOKEN", "GT_PUBLISH_TOKEN"}


def test_a_fork_does_not_run_it_nor_does_another_repository_than_the_one_that_is_named(
    expressions: Expressions,
) -> None:
    def runs(repository: str, named: str, fork: bool | None) -> str:
        event = {} if fork is None else {"repository": {"fork": fork}}
        contexts = {"github": {"repository": repository, "event": event}, "inputs": {"repository": named}}
        (answer,) = expressions.evaluate(GT, [Evaluation(("jobs", "make", "if"), contexts)])
        return answer

    assert [runs("a/b", "", fork) for fork in (False, True, None)] == ["true", "false", "true"]
    assert [runs(name, "a/b", True) for name in ("a/b", "other/b")] == ["true", "false"]


@pytest.mark.parametrize("job", ["publish", "attest"])
def test_what_was_collected_is_published_and_attested_though_a_case_failed(job: str, expressions: Expressions) -> None:
    results, statuses = ("success", "failure", "cancelled", "skipped"), ("success", "failure", "cancelled")
    combinations = list(itertools.product(results, ("out", ""), statuses, (True, False), ("https://git.example/d", "")))

    def evaluation(result: str, artifact: str, status: str, wanted: bool, to: str) -> Evaluation:
        needs = {"make": {"result": result, "outputs": {"artifact": artifact}}}
        inputs = {"publish": wanted, "attest": wanted, "data_repository": to}
        return Evaluation(("jobs", job, "if"), {"needs": needs, "inputs": inputs, "vars": {}}, status)

    answers = expressions.evaluate(GT, [evaluation(*each) for each in combinations])
    run = {each for each, answer in zip(combinations, answers, strict=True) if answer == "true"}
    expected = {
        (result, artifact, status, wanted, to)
        for result, artifact, status, wanted, to in combinations
        if result in ("success", "failure", "skipped") and artifact and status != "cancelled" and wanted
        if to or job == "attest"
    }
    assert run == expected


def test_the_documentation_has_every_input_and_secret_and_no_other_but_those_that_were_dropped() -> None:
    table = SECTION.split("### Inputs, side by side")[1].split("### Jobs, side by side")[0]
    named = {word for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for word in re.findall("`(.+?)`", row)}
    assert named == {*DISPATCHED, *OUTER["on"]["workflow_call"]["secrets"], "kernel_artifact_run_id", "ci_data_ref"}


def test_the_documented_call_gives_what_the_workflow_takes() -> None:
    (example,) = re.findall(r"```yaml\n(.+?)```", SECTION, re.DOTALL)
    job = yaml.safe_load(example)["jobs"]["gt"]
    assert job["with"].keys() <= CALLED.keys()
    assert job["secrets"].keys() == OUTER["on"]["workflow_call"]["secrets"].keys()
    granted = job["permissions"]
    assert all(
        permissions.items() <= granted.items() for permissions in (each["permissions"] for each in JOBS.values())
    )
