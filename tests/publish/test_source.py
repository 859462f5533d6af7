"""The branch that GT goes to: what was made from main to the default one, what was made from another ref to gt/REF."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dulwich.refs import Ref, check_ref_format
from hypothesis import given
from hypothesis import strategies as st

from ci.artifact.manifest import NAME
from ci.errors import PublishError
from ci.publish.batch import batch
from ci.publish.source import CiRun, Source, branch_for, source_of
from tests.conftest import Gt
from tests.support import pictures
from tests.support.git_server import bare, git
from tests.support.publishers import artifact

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("ref", "branch"),
    [
        ("", ""),
        ("main", ""),
        ("refs/heads/main", ""),
        ("refs/heads/torch-2.12", "gt/torch-2.12"),
        ("torch-2.12", "gt/torch-2.12"),
        ("v0.5.21", "gt/v0.5.21"),
        ("refs/tags/v1", "gt/tags/v1"),
        ("refs/pull/5/merge", "gt/pull/5/merge"),
        ("refs/heads/a b~c^d:e", "gt/a-b-c-d-e"),
        ("refs/heads/..//x.lock", "gt/x"),
    ],
)
def test_what_was_made_from_another_ref_never_goes_to_main_by_default(ref: str, branch: str) -> None:
    assert branch_for("", Source(ref)) == branch
    if branch:
        assert branch_for("isolated", Source(ref)) == branch
    else:
        with pytest.raises(PublishError, match="name a branch"):
            branch_for("isolated", Source(ref))


@pytest.mark.parametrize("choice", ["main", "gt/mine", "stable"])
@pytest.mark.parametrize("ref", ["", "main", "topic"])
def test_a_branch_that_is_named_is_taken(choice: str, ref: str) -> None:
    assert branch_for(choice, Source(ref)) == choice


@given(st.text(min_size=1) | st.text("./-~lock", min_size=1))
def test_every_ref_gives_a_branch_that_git_takes(ref: str) -> None:
    if not any((letter.isascii() and letter.isalnum()) or letter == "_" for letter in ref):
        ref += "x"  # a ref of other characters alone gives no name, and is refused
    branch = branch_for("", Source(ref))
    assert not branch or (branch.startswith("gt/") and check_ref_format(Ref(f"refs/heads/{branch}".encode())))


def test_a_ref_that_gives_no_name_is_refused() -> None:
    with pytest.raises(PublishError, match="name one with --branch"):
        branch_for("", Source("refs/heads/日本"))


@pytest.mark.parametrize(
    ("engine", "tool", "run", "expected"),
    [
        (None, None, CiRun(), Source("", COMMIT)),  # the tool's commit, which is in every manifest of a checkout
        (None, None, CiRun(ref="refs/heads/main", sha="1"), Source("refs/heads/main", "1")),
        ("main", None, CiRun(), Source("main", COMMIT)),
        ("v0.5.21", None, CiRun(ref="refs/heads/main", sha="1"), Source("v0.5.21", COMMIT)),
        ("main", None, CiRun(ref="refs/heads/topic", sha="1"), Source("refs/heads/topic", "1")),
        (None, "github.com/OWNER/diffusion-gt@topic", CiRun(ref="main"), Source("topic", COMMIT)),
        (None, "github.com/OWNER/diffusion-gt@v1", CiRun(ref="main", sha="1"), Source("main", "1")),
        (None, f"github.com/OWNER/diffusion-gt@{COMMIT}", CiRun(), Source("", COMMIT)),
    ],
)
def test_the_source_is_the_first_ref_that_is_not_main(
    tmp_path: Path, engine: str | None, tool: str | None, run: CiRun, expected: Source
) -> None:
    made = artifact(tmp_path / "gt", {"a": b"a"}, "sglang", mode="native", engine_ref=engine)
    data = json.loads((made / NAME).read_text())
    data["run"]["tool"] |= {"ref": tool, "commit": COMMIT}
    data["cases"]["a"]["code"] = {"repo": "sgl-project/sglang", "commit": COMMIT, "identity": f"commit:{COMMIT}"}
    (made / NAME).write_text(json.dumps(data))
    assert source_of(batch(made), run) == expected


def test_a_run_of_a_branch_publishes_to_a_branch_of_its_own_and_says_so(tmp_path: Path, gt: Gt) -> None:
    data = bare(tmp_path / "data.git", {"README.md": b"theirs"})
    before = git("-C", str(data), "rev-parse", "main")
    pictures.artifact(tmp_path / "gt", {"case_1gpu.jpg": pictures.scene(1)})
    to = ("publish", "--to", str(data), "--publish-target-dir", "gt")
    done = gt(*to, env={"GITHUB_REF": "refs/heads/torch-2.12", "GITHUB_SHA": COMMIT, "GITHUB_TRIGGERING_ACTOR": "me"})
    assert done.returncode == 0, done.stderr
    assert "made from torch-2.12, so it goes to branch gt/torch-2.12" in done.stderr
    assert "gt: published in branch gt/torch-2.12 of" in done.stderr
    assert git("-C", str(data), "rev-parse", "main") == before
    message = git("-C", str(data), "log", "-1", "--format=%(trailers)", "gt/torch-2.12")
    assert f"Triggered-by: me\nSource-ref: refs/heads/torch-2.12\nSource-sha: {COMMIT}\n" in message
    refused = gt(*to, "--branch", "isolated", env={"GITHUB_REF": "refs/heads/main"})
    assert refused.returncode == 2
    assert "name a branch" in refused.stderr
