"""The promises about a branch that the server cannot make: it is said once, in words, and nothing is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ci.errors import PublishError
from tests.support.git_server import git
from tests.support.publishers import QUICK, Place, artifact


def branches(place: Place) -> list[str]:
    return git("-C", str(place.bare), "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()


def refusal(place: Place, directory: Path, branch: str, **options: object) -> str:
    """What publishing to a branch that cannot be made says; it is not tried again."""
    before, pauses = branches(place), list[str]()
    with pytest.raises(PublishError) as refused:
        place.publish(directory, branch=branch, patience=replace(QUICK, say=pauses.append), **options)
    assert (pauses, branches(place)) == ([], before)
    assert "Gave up" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("there", "branch"), [("main", "main/below"), ("main", "main/far/below"), ("a/b/c", "a"), ("a/b/c", "a/b")]
)
def test_a_branch_that_is_a_folder_of_another_is_refused_before_the_gate(
    place: Place, tmp_path: Path, there: str, branch: str
) -> None:
    git("-C", str(place.bare), "update-ref", f"refs/heads/{there}", "main")

    def gate(_: Path, __: Path) -> None:
        pytest.fail("the gate ran")

    said = refusal(place, artifact(tmp_path / "gt", {"a": b"a"}), branch, gate=gate)
    assert said.startswith(f"branch {branch} cannot be made beside branch {there}:")
    assert said.endswith("name another one with --branch")


def test_so_is_one_of_which_only_the_server_knows_it(place: Place, tmp_path: Path) -> None:
    def meanwhile(_: Path, __: Path) -> None:
        git("-C", str(place.bare), "update-ref", "refs/heads/a/b", "main")
        before.append("a/b")

    before = branches(place)
    directory = artifact(tmp_path / "gt", {"a": b"a"})
    pauses: list[str] = []
    with pytest.raises(PublishError, match="does not take the commit") as refused:
        place.publish(directory, branch="a", patience=replace(QUICK, say=pauses.append), gate=meanwhile)
    assert (pauses, branches(place)) == ([], sorted(before))
    assert "refs/heads/a/b' exists" in str(refused.value) or place.name == "github"  # git's words say which


@pytest.mark.parametrize("branch", ["mainline", "main-below", "a/c", "x" * 250, "HEAD/x"])
def test_one_whose_name_only_begins_like_another_s_is_made(place: Place, tmp_path: Path, branch: str) -> None:
    git("-C", str(place.bare), "update-ref", "refs/heads/a/b", "main")
    done = place.publish(artifact(tmp_path / "gt", {"a": b"a"}), branch=branch)
    assert place.commits(f"refs/heads/{branch}")[0] == done.commit
