"""templates/gt.yml and the pipeline that it starts, executed by gitlab-ci-local, each job in a folder of its own."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.catalogue import files as catalogue
from ci.catalogue.selection import Selection, select
from ci.errors import GtError
from ci.plan import gitlab, jobs
from ci.plan.matrix import data_of
from tests.ci_systems.conftest import tool
from tests.ci_systems.other import CASES, MODULE, Machine
from tests.ci_systems.stand_in import VERSION
from tests.conftest import ROOT

TEMPLATE = ROOT / "templates" / "gt.yml"
INPUTS: dict[str, Any] = {"tag": "docker", "module": MODULE, "source-group": "smoke", "on": "cpu"}
SCHEMA = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
SPEC, BODY = yaml.safe_load_all(TEMPLATE.read_text())


@dataclass(frozen=True)
class GitLab:
    """A stand-in for GitLab, with a project that includes the template."""

    program: str
    machine: Machine

    def run(self, variables: dict[str, str] | None = None, **inputs: Any) -> subprocess.CompletedProcess[str]:
        """Run a pipeline. `_` in an input's name stands for `-`."""
        project = self.machine.work
        (project / "templates").mkdir(exist_ok=True)
        (project / "templates" / "gt.yml").write_text(TEMPLATE.read_text())
        values = INPUTS | {name.replace("_", "-"): value for name, value in inputs.items()}
        include = [{"local": "templates/gt.yml", "inputs": values}]
        (project / ".gitlab-ci.yml").write_text(yaml.safe_dump({"include": include}))
        if not (project / ".git").exists():
            git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
            for command in ("init -q -b main", "remote add origin git@gitlab.example:a/b.git", "add .", "commit -qm a"):
                subprocess.run([*git, *command.split()], cwd=project, check=True)
        return self.machine.run(self.program, "--force-shell-executor", "--shell-isolation", env=variables)


@pytest.fixture
def gitlab_ci(tmp_path: Path) -> GitLab:
    tool("rsync")
    return GitLab(tool("gitlab-ci-local"), Machine(tmp_path / "machine"))


def matrix(*, official: bool = False, group: str = "", on: str | None = None, per_case: bool = False) -> str:
    chosen = select(catalogue.load(), Selection(official, source_group=group))
    return json.dumps(data_of(jobs.plan(chosen, on=on, per_case=per_case)))


def test_the_files_are_what_gitlab_takes(tmp_path: Path) -> None:
    files = {"template": BODY, "spec": SPEC, "child": json.loads(gitlab.pipeline(matrix(official=True), "docker"))}
    for name, content in files.items():
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(content))
    paths = [*(str(tmp_path / f"{name}.yml") for name in files), str(gitlab.FIXED)]
    done = subprocess.run(["check-jsonschema", *SCHEMA, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "bad.yml").write_text(yaml.safe_dump(BODY | {"gt": {"trigger": {"include": [{"artefact": "x"}]}}}))
    bad = subprocess.run(["check-jsonschema", *SCHEMA, str(tmp_path / "bad.yml")], capture_output=True, check=False)
    assert bad.returncode == 1


def test_scripts_are_clean_to_shellcheck_and_no_input_is_pasted_into_one(shellcheck: str) -> None:
    child = yaml.safe_load(gitlab.FIXED.read_text())
    for job in (*BODY.values(), *child.values()):
        for line in (*job.get("script", ()), *job.get("before_script", ())) if isinstance(job, dict) else ():
            done = subprocess.run(
                [shellcheck, "--shell=dash", "--exclude=SC2034", "-"],
                input=line,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            assert "$[[" not in line


def test_the_dagger_cli_is_the_modules_version_in_both_files() -> None:
    child = yaml.safe_load(gitlab.FIXED.read_text())
    assert BODY["gt-plan"]["before_script"] == child[".gt"]["before_script"]
    assert set(re.findall(r"\d+\.\d+\.\d+", child[".gt"]["before_script"][0])) == {VERSION.removeprefix("v")}


def test_every_input_is_used_and_handed_on_as_it_is() -> None:
    text = TEMPLATE.read_text().split("\n---\n")[1]
    assert set(re.findall(r"\$\[\[ inputs\.([a-z-]+) \]\]", text)) == SPEC["spec"]["inputs"].keys()
    for job in BODY.values():
        for value in job["variables"].values():
            name = re.findall(r"inputs\.([a-z-]+)", value if isinstance(value, str) else value["value"])[0]
            free = SPEC["spec"]["inputs"][name].get("type", "string") == "string"
            assert isinstance(value, dict) == free
            assert not free or value["expand"] is False


def test_each_job_runs_where_its_gpu_kind_is() -> None:
    pipeline = json.loads(gitlab.pipeline(matrix(official=True), "light"))
    for entry in json.loads(matrix(official=True))["include"]:
        job = pipeline[f"generate {entry['job']}"]
        assert job["tags"] == [entry["runner"]]
        assert job["variables"]["_EXPERIMENTAL_DAGGER_GPU_SUPPORT"] == "1"
    light = json.loads(gitlab.pipeline(matrix(group="smoke"), "light"))
    generate = [job for name, job in light.items() if name.startswith("generate ")]
    assert len(generate) == 3
    assert not any("tags" in job or "_EXPERIMENTAL_DAGGER_GPU_SUPPORT" in job["variables"] for job in generate)
    assert light[".gt"]["tags"] == ["light"]


def test_every_case_of_the_matrix_is_one_jobs_and_collect_knows_them_all() -> None:
    text = matrix(official=True, per_case=True)
    pipeline = json.loads(gitlab.pipeline(text, "docker"))
    generated = [
        job["variables"]["GT_JOB_CASES"]["value"] for name, job in pipeline.items() if name.startswith("generate ")
    ]
    entries = json.loads(pipeline["collect"]["variables"]["GT_MATRIX"]["value"])["include"]
    assert sorted(generated) == sorted(entry["case_ids"] for entry in entries) == sorted(catalogue_ids())


def catalogue_ids() -> list[str]:
    return [case.id for case in select(catalogue.load(), Selection(official=True))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is no matrix"),
        ('{"include": []}', "this is no matrix"),
        ('{"include": [{"job": "a", "case_ids": "x", "runner": "y"}]}', "include.0.gpu"),
        ('{"include": [{"job": "a", "case_ids": "x", "gpu": "h100"}]}', "include.0.runner"),
        ('{"include": [{"job": "../x", "case_ids": "a", "gpu": "any", "runner": "r"}]}', "include.0.job"),
        ('{"include": [{"job": "x", "case_ids": "a\\n$(b)", "gpu": "any", "runner": "r"}]}', "include.0.case_ids"),
        (
            json.dumps(
                {"include": [{"job": f"j{n}" * 20, "case_ids": "a", "gpu": "any", "runner": "r"} for n in range(2000)]}
            ),
            "2000 jobs are too many for one pipeline; select fewer cases",
        ),
    ],
)
def test_what_is_no_matrix_or_too_large_is_refused(text: str, message: str) -> None:
    with pytest.raises(GtError, match=re.escape(message)):
        gitlab.pipeline(text, "docker")


def red(ran: subprocess.CompletedProcess[str]) -> set[str]:
    """The jobs that failed: where GitLab has `strategy: depend`, gitlab-ci-local exits with the parent's status."""
    return set(re.findall(r"^(?:\t\[gt\] -> )?(\S.*?) +finished in .*FAIL", ran.stdout + ran.stderr, re.MULTILINE))


def test_a_pipeline_generates_collects_judges_and_ends_in_a_verdict(gitlab_ci: GitLab) -> None:
    ran = gitlab_ci.run({"HF_TOKEN": "hf_word"})
    assert not red(ran), ran.stdout + ran.stderr
    machine = gitlab_ci.machine
    assert machine.verbs[:2] == ["matrix", "gitlab-pipeline"]
    assert sorted(machine.verbs[2:5]) == ["generate"] * 3
    assert machine.verbs[5:] == ["collect", "summary", "check", "verdict"]
    generated = {
        dict(option.split("=", 1) for option in options)["--case-ids"] for options in machine.options("generate")
    }
    assert generated == set(CASES)
    for options in machine.options("generate"):
        assert options[:2] == ["--official=false", "--source-group=smoke"]
        assert {"--on=cpu", "--hf-token=env:HF_TOKEN"} <= set(options)
    assert "### Ground truth: 3 of 3 cases" in ran.stdout
    assert "hf_word" not in json.dumps([call["options"] for call in machine.calls])


def test_a_job_that_breaks_and_a_case_that_fails_leave_the_rest_whole_and_the_pipeline_red(gitlab_ci: GitLab) -> None:
    gitlab_ci.machine.gives({"smoke_t2i": "ok", "smoke_ti2i": "failed", "smoke_t2v": "ok"})
    gitlab_ci.machine.breaks("generate --official=false --source-group=smoke --case-ids=smoke_t2v")
    ran = gitlab_ci.run(publish="https://git.example/data", publish_target_dir="try")
    assert red(ran) == {"generate smoke-tiny--wanpipeline", "verdict"}
    assert "### Ground truth: 1 of 3 cases" in ran.stdout
    assert "no artifact came from its job" in ran.stdout
    assert gitlab_ci.machine.verbs[-1] == "verdict"
    assert "publish" not in gitlab_ci.machine.verbs


def test_published_ground_truth_is_compared_with_and_a_sound_artifact_is_published(gitlab_ci: GitLab) -> None:
    inputs = {"published": "https://git.example/data#main:gt", "publish": "https://git.example/data"}
    more = {
        "publish_target_dir": "try",
        "publish_branch": "gt/try",
        "cases": str(ROOT / "cases"),
        "engine_ref": "a-branch",
        "on": "h100-pcie",
    }
    ran = gitlab_ci.run({"GT_PUBLISH_TOKEN": "word"}, **inputs, **more)
    assert not red(ran), ran.stdout + ran.stderr
    machine = gitlab_ci.machine
    assert machine.verbs[5:7] == ["collect", "summary"]
    assert [set(machine.verbs[7:9]), set(machine.verbs[9:])] == [{"check", "compare"}, {"publish", "verdict"}]
    assert machine.options("check") == [["--artifact=gt", f"--published={inputs['published']}"]]
    (publish,) = machine.options("publish")
    assert publish[:3] == ["--artifact=gt", f"--to={inputs['publish']}", "--publish-target-dir=try"]
    assert {"--bare=false", "--branch=gt/try"} <= set(publish)
    assert {"--ref", "--sha", "--ci-run", "--triggered-by"} <= {option.partition("=")[0] for option in publish}
    assert {f"--cases={ROOT / 'cases'}", "--token=env:GT_PUBLISH_TOKEN"} <= set(publish)
    assert all("--engine-ref=a-branch" in options for options in machine.options("generate"))
    assert all("--on=h100_pcie" in options for verb in ("matrix", "generate") for options in machine.options(verb))
    assert not machine.unknown


def test_an_artifact_that_is_not_sound_is_not_published(gitlab_ci: GitLab) -> None:
    gitlab_ci.machine.breaks("check --artifact")
    ran = gitlab_ci.run(publish="https://git.example/data")
    assert red(ran) == {"check"}
    assert "publish" not in gitlab_ci.machine.verbs
    assert gitlab_ci.machine.verbs[-1] == "verdict"


def test_a_hostile_input_is_a_word_and_runs_nothing(gitlab_ci: GitLab) -> None:
    machine, hostile = gitlab_ci.machine, gitlab_ci.machine.hostile
    gitlab_ci.run(case_ids="smoke_t2i", published=hostile, publish=hostile, publish_target_dir=hostile)
    assert machine.options("check") == [["--artifact=gt", f"--published={hostile}"]]
    assert machine.options("publish")[0][1:3] == [f"--to={hostile}", f"--publish-target-dir={hostile}"]
    ran = gitlab_ci.run(case_ids=hostile)
    assert red(ran) == {"gt-plan"}  # no case has such a name
    assert "--case-ids=" + re.sub(r"\s", ",", hostile) in machine.options("matrix")[-1]
    assert not machine.canary.exists()
