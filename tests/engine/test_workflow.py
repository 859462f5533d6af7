"""The workflow's jobs on a real engine: gt.yml as it stands, from the plan to a commit in a git server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ci.artifact import manifest as manifests
from ci.artifact.verdict import verdict
from tests.ci_systems.conftest import tool
from tests.ci_systems.github import GitHub, snapshot
from tests.conftest import ROOT
from tests.support.git_server import GitServer, bare

IDS = ("smoke_t2i", "smoke_ti2i")
INPUTS = {
    "run_official_cases": "true",
    "official_source_group": "smoke",
    "official_case_ids": " ".join(IDS),
    "publish": "true",
    "publish_via": "git",
    "publish_target_dir": "gt/smoke",
    "bare": "true",
    "attest": "true",
    "retention_days": "7",
}


@pytest.mark.long
def test_the_jobs_make_one_artifact_and_publish_it(engine: str, address: str, tmp_path: Path) -> None:
    server = GitServer(tmp_path, address=address)
    bare(server.bare, {"README.md": b"theirs"})
    known = {name: value for name, value in os.environ.items() if "DAGGER" in name}
    github = GitHub(tool("act"), tmp_path / "github", snapshot(tmp_path / "repository"))
    with server.serving():
        ran = github.run(
            ROOT / ".github" / "workflows" / "gt.yml",
            inputs=INPUTS,
            secrets={"GT_PUBLISH_TOKEN": server.token},
            variables={"GT_DATA_REPOSITORY": server.url},
            env={**known, "PATH": os.environ["PATH"]},
            timeout=900,
        )
        assert ran.status == 0, ran.log()[-3000:]
        held = server.git("ls-tree", "--name-only", f"{ran.outputs('publish')['commit']}:gt/smoke").splitlines()
    assert ran.jobs == dict.fromkeys(("plan", "generate", "collect", "publish", "attest"), "success")
    assert not verdict(ran.artifact("diffusion-ci-outputs"))
    told = manifests.read(ran.artifact("diffusion-ci-outputs"))
    assert list(told.cases) == list(IDS)
    assert {host.name: host.cases for host in told.run.hosts} == {f"diffusion-ci-outputs-smoke-{n}": [n] for n in IDS}
    assert {host.engine for host in told.run.hosts} == {engine}
    assert set(held) == {*told.files, manifests.NAME}
    assert server.token not in json.dumps(ran.events)
