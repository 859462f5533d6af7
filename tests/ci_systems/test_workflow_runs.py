"""gt.yml and gt-make.yml executed, step by step as they stand there, with the local command in Dagger's place."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.artifact.collect import ABSENT
from tests.ci_systems.github import GitHub, WorkflowRun, load, snapshot
from tests.conftest import ROOT
from tests.support import pictures
from tests.support.git_server import GitServer, bare

WORKFLOWS = ROOT / ".github" / "workflows"
GT, MAKE = WORKFLOWS / "gt.yml", WORKFLOWS / "gt-make.yml"
VERSION = json.loads((ROOT / "dagger.json").read_text())["engineVersion"]
HF_TOKEN, PUBLISH_TOKEN = "hf_of_this_test", "gt_planted_secret"
SMOKE = ("smoke_t2i", "smoke_ti2i", "smoke_t2v")
GIVEN = {"run_official_cases": "true", "official_source_group": "smoke", "output_name": "out"}
HOSTILE = ('x"; touch {canary}; #', "$(touch {canary})", "x\ntouch {canary}\nmatrix=pwned", "--official=false")
NO_NAMES = ("../out", "a/b", "-out", ".out", "out\nb", "o" * 101, *HOSTILE)


@dataclass
class Runners:
    """Machines on which `dagger` is the local command, a repository with case files, and a data repository."""

    folder: Path
    github: GitHub
    server: GitServer

    @property
    def canary(self) -> Path:
        """A file that is there once something hostile was run."""
        return self.folder / "canary"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of the Dagger CLI since the last run began."""
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def run(
        self,
        workflow: Path | str,
        event: str = "workflow_dispatch",
        dies: str = "",
        job: str | None = None,
        **inputs: str,
    ) -> WorkflowRun:
        """Run a workflow, or one job of it, on the smoke cases; the job of the case `dies` does."""
        (self.folder / "calls.jsonl").unlink(missing_ok=True)
        return self.github.run(
            workflow,
            event=event,
            inputs={**GIVEN, **{name: text.format(canary=self.canary) for name, text in inputs.items()}},
            secrets={"HF_TOKEN": HF_TOKEN, "GT_PUBLISH_TOKEN": PUBLISH_TOKEN},
            variables={"GT_DATA_REPOSITORY": self.server.url},
            env={
                "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                "GT_CALLS": str(self.folder / "calls.jsonl"),
                "GT_DAGGER_VERSION": VERSION,
                "GT_CACHE": str(self.folder / "cache"),
                "GT_DIES": dies,
            },
            job=job,
            timeout=300,
        )

    def make(self, dies: str = "", job: str | None = None, **inputs: str) -> WorkflowRun:
        """Run gt-make.yml alone; act ends a caller with the first job of the called workflow that fails."""
        empty = dict.fromkeys(load(MAKE)["on"]["workflow_call"]["inputs"], "")
        return self.run(MAKE, "workflow_call", dies, job, **{**empty, "retention_days": "7", **GIVEN, **inputs})


@pytest.fixture(scope="module")
def runners(act: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runners]:
    folder = tmp_path_factory.mktemp("runners")
    repository = snapshot(folder / "repository")
    smoke = (ROOT / "cases" / "smoke.yaml").read_text()
    failing = yaml.safe_load(smoke)
    failing["cases"]["smoke_ti2i"]["call"]["extra"] = {
        "max_sequence_length": 1024
    }  # the pipeline refuses more than 512
    spoilt = yaml.safe_dump(failing)
    for name, text in (("own", smoke), ("spoilt", spoilt)):
        shutil.copytree(ROOT / "cases" / "inputs", repository / name / "inputs")
        (repository / name / "smoke.yaml").write_text(text)
    dagger = folder / "bin" / "dagger"
    dagger.parent.mkdir()
    command = shlex.join([sys.executable, str(ROOT / "tests" / "ci_systems" / "local_dagger.py")])
    dagger.write_text(f'#!/bin/bash\nexec {command} "$@"\n')
    dagger.chmod(0o755)
    server = GitServer(folder, token=PUBLISH_TOKEN)
    bare(server.bare, {"README.md": b"theirs"})
    with server.serving():
        yield Runners(folder, GitHub(act, folder / "github", repository), server)


@dataclass(frozen=True)
class Whole:
    """A run, and what it left; kept, since the next run clears it away."""

    ran: WorkflowRun
    calls: list[dict[str, Any]]
    artifacts: Path
    attested: dict[str, str]


@pytest.fixture(scope="module")
def whole(runners: Runners) -> Whole:
    """A run in which everything goes well, with case files of the caller's."""
    old = pictures.artifact(runners.folder / "published", {"smoke_t2i_1gpu.jpg": pictures.scene(1)})
    settings = {"cases": "own", "published": str(old), "publish_target_dir": "gt/smoke", "retention_days": "3"}
    ran = runners.run(GT, **settings, publish="true", publish_via="git", bare="true", attest="true")
    kept = shutil.copytree(ran.services / "artifacts", runners.folder / "artifacts")
    return Whole(ran, runners.calls, kept, json.loads((ran.services / "attestation.json").read_text()))


def files(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def test_every_job_runs_from_the_plan_to_the_published_and_attested_artifact(whole: Whole) -> None:
    assert whole.ran.status == 0, whole.ran.log()
    assert whole.ran.jobs == dict.fromkeys(("plan", "generate", "collect", "publish", "attest"), "success")
    verbs = [call["verb"] for call in whole.calls]
    assert [verb for verb in verbs if verb not in ("publish", "attest")][-5:] == [
        *("collect", "summary", "check", "compare", "verdict")
    ]
    assert (verbs.count("generate"), verbs.count("publish"), verbs.count("attest")) == (3, 1, 1)
    assert "### Ground truth: 3 of 3 cases" in whole.ran.summary


def test_an_artifact_a_case_has_upstreams_name_and_holds_images_and_manifest_only(whole: Whole) -> None:
    jobs = {f"out-smoke-{name}" for name in SMOKE}
    assert {path.name for path in whole.artifacts.iterdir()} == {*jobs, "out", "report-out"}
    for name in (*jobs, "out"):
        content = manifest(whole.artifacts / name)
        named = {file["name"]: file["sha256"] for case in content["cases"].values() for file in case["files"]}
        held = files(whole.artifacts / name)
        assert held.keys() == {*named, "manifest.json"}
        assert named.items() <= held.items()
    assert {call["retention-days"] for call in whole.ran.calls("actions/upload-artifact")} == {"3"}


def test_the_collected_artifact_says_which_job_made_what(whole: Whole) -> None:
    content = manifest(whole.artifacts / "out")
    assert {host["name"]: host["cases"] for host in content["run"]["hosts"]} == {f"out-smoke-{n}": [n] for n in SMOKE}
    parts = [manifest(whole.artifacts / f"out-smoke-{name}") for name in SMOKE]
    assert content["cases"] == {name: case for part in parts for name, case in part["cases"].items()}
    assert content["run"]["selection"]["case_ids"] == list(SMOKE)


def test_the_report_of_the_comparison_is_uploaded(whole: Whole) -> None:
    assert files(whole.artifacts / "report-out").keys() == {"report.html", "compare.json", "junit.xml"}
    assert "smoke_t2i" in (whole.artifacts / "report-out" / "report.html").read_text()


def test_the_data_repository_holds_one_commit_with_the_artifacts_files(whole: Whole, runners: Runners) -> None:
    commit = whole.ran.outputs("publish")["commit"]
    held = runners.server.git("ls-tree", "--name-only", f"{commit}:gt/smoke").splitlines()
    assert set(held) == files(whole.artifacts / "out").keys()
    message = runners.server.git("show", "-s", "--format=%B", commit)
    assert "actions/runs/1" in message
    assert "refs/heads/main" in message


def test_the_attestation_names_every_file_of_the_artifact(whole: Whole) -> None:
    assert whole.attested == files(whole.artifacts / "out")
    (call,) = whole.ran.calls("actions/attest")
    assert call["predicate-type"] == "https://slsa.dev/provenance/v1"


def test_tokens_reach_no_call_but_the_one_that_needs_them_and_no_log(whole: Whole) -> None:
    held = {(call["verb"], secret) for call in whole.calls for secret in call["secrets"]}
    assert held == {("generate", "HF_TOKEN"), ("publish", "GT_PUBLISH_TOKEN")}
    assert not [call for call in whole.calls if HF_TOKEN in str(call) or PUBLISH_TOKEN in str(call)]
    events = json.dumps(whole.ran.events)
    assert HF_TOKEN not in events
    assert PUBLISH_TOKEN not in events
    assert {call["persist-credentials"] for call in whole.ran.calls("actions/checkout")} == {"false"}


def test_a_case_that_fails_and_a_job_that_dies_take_no_other_along(runners: Runners) -> None:
    ran = runners.make(cases="spoilt", dies="smoke_t2v")
    assert ran.jobs == {"plan": "success", "generate": "failure", "collect": "failure"}
    assert {path.name for path in (ran.services / "artifacts").iterdir()} == {
        *("out-smoke-smoke_t2i", "out-smoke-smoke_ti2i", "out")
    }
    cases = manifest(ran.artifact("out"))["cases"]
    assert {name: case["status"] for name, case in cases.items()} == dict.fromkeys(SMOKE, "failed") | {
        "smoke_t2i": "ok"
    }
    assert "ValueError" in cases["smoke_ti2i"]["reason"]
    assert cases["smoke_t2v"]["reason"] == ABSENT
    steps = load(MAKE)["jobs"]["collect"]["steps"]
    results = {step["name"]: ran.result(step.get("id", str(at))) for at, step in enumerate(steps)}
    assert [name for name, result in results.items() if result == "failure"] == ["Verdict"]
    assert (results["Check"], results["Compare"]) == ("success", "")
    assert "### Ground truth: 1 of 3 cases" in ran.summary


def rest(artifact: Path) -> str:
    """gt.yml with a job in the place of gt-make.yml that leaves this artifact, and fails."""
    document = load(GT)
    upload = {"id": "upload", "uses": "actions/upload-artifact@v7", "with": {"name": "out", "path": str(artifact)}}
    document["jobs"]["make"] = {
        "runs-on": "ubuntu-latest",
        "outputs": {"matrix": "{}", "case-count": "3", "artifact": "out"},
        "steps": [upload, {"run": "exit 1"}],
    }
    return yaml.safe_dump(document, sort_keys=False)


def test_what_was_finished_is_published_though_another_case_failed(runners: Runners, whole: Whole) -> None:
    half = runners.folder / "half"
    content = manifest(shutil.copytree(whole.artifacts / "out", half))
    content["cases"]["smoke_t2v"] |= {"status": "failed", "reason": "broken on purpose", "files": []}
    (half / "manifest.json").write_text(json.dumps(content))
    for frame in half.glob("smoke_t2v*"):
        frame.unlink()
    settings = {"publish": "true", "publish_via": "git", "bare": "true", "attest": "true"}
    ran = runners.run(rest(half), **settings, publish_target_dir="gt/half", reason=HOSTILE[0], accept="smoke_t2i")
    assert ran.jobs == {"make": "failure", "publish": "success", "attest": "success"}
    held = runners.server.git("ls-tree", "--name-only", "main:gt/half").splitlines()
    assert set(held) == {"manifest.json", "smoke_t2i_1gpu.jpg", "smoke_ti2i_1gpu.jpg"}
    assert not runners.canary.exists()


@pytest.mark.parametrize("name", NO_NAMES)
def test_an_output_name_that_is_no_part_of_a_file_name_is_refused_before_anything(runners: Runners, name: str) -> None:
    ran = runners.make(output_name=name)
    assert ran.jobs == {"plan": "failure"}
    assert "output_name becomes part of file names" in ran.log()
    assert not runners.calls
    assert not runners.canary.exists()


@pytest.mark.parametrize("name", ["official_case_ids", "official_source_group", "cases"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_inputs_are_refused_by_the_plan_and_never_run(runners: Runners, name: str, text: str) -> None:
    ran = runners.make(**{name: text})
    assert ran.jobs == {"plan": "failure"}
    assert [call["verb"] for call in runners.calls] == ["matrix"]
    assert all(re.fullmatch("--[a-z-]+=.*", option, re.DOTALL) for option in runners.calls[0]["options"])
    assert not runners.canary.exists()
    assert not (ran.services / "artifacts").exists()


def test_the_plan_counts_its_cases_and_takes_the_ids_of_its_mode(runners: Runners) -> None:
    ran = runners.make(job="plan", official_case_ids="smoke_t2i, smoke_t2v", case_ids="of_the_other_mode")
    assert ran.outputs("plan")["case-count"] == "2"
    assert {job["job"] for job in json.loads(ran.outputs("plan")["matrix"])["include"]} == {"smoke_t2v", "smoke_t2i"}
    assert ran.jobs == {"plan": "success"}
