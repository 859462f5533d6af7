"""What is done with ground truth afterwards, on an engine: traces compared, a pull request, published files fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.conftest import Call
from tests.support import pictures, traces
from tests.support.git_server import GitServer, bare
from tests.support.publishers import DIRECTORY, FOLDER, OTHERS, go

FILE = "case_1gpu.jpg"
TOKEN = "env:GT_TEST_TOKEN"


@pytest.fixture(scope="module")
def two_traces(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A run and one that leaves a step out, so that it differs from the step before on."""
    folder = tmp_path_factory.mktemp("traces")
    runs = {"reference": traces.Run(), "other": traces.Run(left_out=2)}
    reference, other = (traces.write(folder / name, {"case": run.tensors()}) for name, run in runs.items())
    return str(reference), str(other)


def test_diverge_gives_the_stage_a_table_and_a_picture(call: Call, two_traces: tuple[str, str], tmp_path: Path) -> None:
    out, (reference, other) = tmp_path / "divergence", two_traces
    called = call("diverge", "--reference", reference, "--other", other, "-o", str(out))
    assert called.status == 0, called.err[-3000:]
    (case,) = json.loads((out / "diverge.json").read_text())["cases"]
    assert (case["first"], case["diverged"]) == ("latents.3", True)
    assert sorted(path.name for path in out.iterdir()) == ["case.svg", "diverge.json", "diverge.txt"]


@pytest.mark.long
def test_compare_shows_two_traces_beside_the_images(call: Call, two_traces: tuple[str, str], tmp_path: Path) -> None:
    out, (reference, other) = tmp_path / "comparison", two_traces
    artifact = str(pictures.artifact(tmp_path / "gt", {FILE: pictures.scene(1)}))
    both = ("--reference-trace", reference, "--other-trace", other)
    called = call("compare", "--artifact", artifact, "--published", artifact, *both, "-o", str(out))
    assert called.status == 0, called.err[-3000:]
    (case,) = json.loads((out / "compare.json").read_text())["cases"]
    assert case["traces"]["first"] == "latents.3"
    assert "Where the two traces first differ" in (out / "report.html").read_text()


def test_a_pull_request_is_pushed_and_what_is_merged_is_fetched(call: Call, address: str, tmp_path: Path) -> None:
    server = GitServer(tmp_path, address=address)
    bare(server.bare, OTHERS)
    env = {"GT_TEST_TOKEN": server.token}
    pictures.artifact(tmp_path / "old", {FILE: pictures.scene(1)})
    new = pictures.artifact(tmp_path / "gt", {FILE: pictures.added(6)(pictures.scene(1))})
    with server.serving():
        published = go(tmp_path / "old", server.url, server.token).commit
        to = ("--to", server.url, "--token", TOKEN, "--publish-target-dir", DIRECTORY, "--artifact", str(new))
        accept = ("--accept", "case", "--reason", "a new camera")
        asked = call("publish", *to, *accept, "--pull-request", env=env)
        assert asked.status == 0, asked.err[-3000:]
        commit, _, title, *text = asked.out.splitlines()
        assert title == f"# Publish 1 case ({FOLDER})"
        assert any(line.startswith("| case") and "changed" in line for line in text)
        assert server.git("rev-parse", "main", f"{commit}~").splitlines() == [published] * 2

        server.git("update-ref", "refs/heads/main", commit)  # it is merged
        where = ("--address", f"{server.url}@main:{DIRECTORY}", "--gpu", "h100", "--case-ids", "case", "--token", TOKEN)
        fetched = call("fetch", *where, "-o", str(tmp_path / "published"), env=env)
    assert fetched.status == 0, fetched.err[-3000:]
    assert (tmp_path / "published" / FILE).read_bytes() == (new / FILE).read_bytes()
    assert f'commit = "{commit}"' in (tmp_path / "published" / "gt.lock").read_text()
    assert server.token not in asked.out + asked.err + fetched.out + fetched.err
