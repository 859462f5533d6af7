"""The promises of `gt publish --pull-request`: the branch stays, and a request shows what merging it changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ci.artifact.replay_report import Metrics
from ci.publish import push
from ci.publish.batch import batch
from ci.publish.changes import Order
from ci.publish.propose import LONGEST, Base, _picture, branch_of, propose
from ci.publish.remotes.opening import opened
from tests.conftest import Gt
from tests.publish.fetch.conftest import Consumer
from tests.support import pictures
from tests.support.fake_github import FakeGithub
from tests.support.git_server import Fault, GitServer, git
from tests.support.publishers import DIRECTORY, FOLDER, QUICK, Place, artifact, passes

NAME = "case_1gpu.jpg"
ACCEPT = ("--accept", "case", "--reason", "a new | camera\n@team <b>")


@pytest.fixture
def published(server: GitServer, http: Place, tmp_path: Path) -> str:
    """A commit that holds the first picture of a case; `gt` holds a brighter one now."""
    pictures.artifact(tmp_path / "gt", {NAME: pictures.scene(1)})
    first = http.publish(tmp_path / "gt")
    pictures.artifact(tmp_path / "gt", {NAME: pictures.added(6)(pictures.scene(1)), "new_1gpu.png": pictures.scene(2)})
    return first.commit


def test_a_branch_is_pushed_and_the_text_shows_measures_pictures_and_the_lines_that_move(
    server: GitServer, http: Place, published: str, tmp_path: Path, gt: Gt
) -> None:
    consumer = Consumer(server, tmp_path / "consumer")
    consumer.fetch("main", FOLDER, "", "case")
    before = consumer.lock.read_text().splitlines()
    env = {"GT_PUBLISH_TOKEN": server.token}
    to = ("publish", "--to", server.url, "--publish-target-dir", DIRECTORY, "--pull-request")
    refused = gt(*to, env=env)
    assert (refused.returncode, "--accept CASE --reason TEXT" in refused.stderr) == (2, True)
    done = gt(*to, *ACCEPT, env=env)
    assert done.returncode == 0, done.stderr
    commit, empty, title, *text = done.stdout.splitlines()
    assert (empty, title) == ("", f"# Publish 2 cases ({FOLDER})")
    assert server.git("rev-parse", "main") == published
    (branch,) = server.git("for-each-ref", "--format=%(refname:short)", "--contains", commit).splitlines()
    assert server.git("rev-parse", f"{branch}~") == published
    assert f"open a pull request of branch {branch} into main" in done.stderr
    rows = [line for line in text if line.startswith(("| case", "| new"))]
    assert [re.split(r" (?<!\\)\| ", row)[2][:7] for row in rows if "new\\_1gpu" in row or "case\\_1gpu" in row] == [
        "changed",
        "new",
    ]
    assert re.search(r"0\.\d+ \| \d\d\.\d+ \| \d\.\d+", rows[1])
    html = MarkdownIt("gfm-like", {"linkify": False}).render("\n".join(text))
    assert "<b>" not in html
    assert "a new | camera @team" in html
    again = gt(*to, *ACCEPT, env=env)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    server.git("update-ref", "refs/heads/main", commit)  # it is merged
    consumer.again(update=True)
    after = consumer.lock.read_text().splitlines()
    diff = "\n".join(text).split("```diff\n")[1].split("\n```")[0].splitlines()
    for old, new in zip(before, after, strict=True):
        if old != new and not old.startswith("manifest"):
            assert f"-{old}" in diff
            assert f"+{new}" in diff
    assert any(line.startswith("-commit") for line in diff)
    nothing = gt(*to, *ACCEPT, env=env)
    assert (nothing.returncode, nothing.stdout) == (0, f"{commit}\n")
    assert "nothing new" in nothing.stderr
    assert len(server.git("for-each-ref").splitlines()) == 2
    nowhere = gt(*to, *ACCEPT, "--branch", "nowhere", env=env)
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert "no branch nowhere" in nowhere.stderr


def test_by_githubs_api_the_request_is_opened_once_into_the_branch_that_is_named(
    hub: FakeGithub, tmp_path: Path, gt: Gt
) -> None:
    pictures.artifact(tmp_path / "gt", {NAME: pictures.scene(1)})
    git("-C", str(hub.bare), "branch", "stable", "main")
    to = ("publish", "--to", hub.url, "--publish-target-dir", DIRECTORY, "--pull-request", "--via", "github-api")
    for _ in range(2):
        done = gt(*to, "--branch", "stable", env={"GT_PUBLISH_TOKEN": hub.token})
        assert done.returncode == 0, done.stderr
        commit, address = done.stdout.splitlines()
        assert address == f"{hub.url}/pull/1"
    (request,) = hub.requests
    assert (request["base"], request["title"]) == ("stable", f"Publish 1 case ({FOLDER})")
    assert git("-C", str(hub.bare), "rev-parse", request["head"]) == commit
    assert f'<img src="https://github.com/owner/data/raw/{commit}/{FOLDER}/{NAME}"' in request["body"]
    assert f'+commit = "{commit}"' in request["body"]


def test_a_token_that_may_not_open_requests_is_said_with_the_branch_that_is_there(
    hub: FakeGithub, tmp_path: Path, gt: Gt
) -> None:
    pictures.artifact(tmp_path / "gt", {NAME: pictures.scene(1)})
    hub.faults.append(Fault("pulls", 403, times=9, method="POST", message="Resource not accessible"))
    to = ("publish", "--to", hub.url, "--publish-target-dir", DIRECTORY, "--pull-request", "--via", "github-api")
    done = gt(*to, env={"GT_PUBLISH_TOKEN": hub.token})
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(
        r"branch publish-\w{12} holds commit \w{40}, but the request was not opened: .*Resource", done.stderr
    )


def test_a_text_is_never_longer_than_a_server_takes(hub: FakeGithub, tmp_path: Path) -> None:
    made = artifact(tmp_path / "gt", {f"case_{number:04}": b"%d" % number for number in range(600)})
    order = Order(batch(made, DIRECTORY))
    with opened(hub.url, "github-api", "main", hub.token) as remote:
        base = Base(hub.url, remote, push.look(order, remote, QUICK))
        with opened(hub.url, "github-api", branch_of(order, "main"), hub.token, base="main") as branch:
            done = push.run(made, order, branch, passes, QUICK)
            proposal = propose(made, order, base, branch, done.commit, _never, QUICK)
    assert len(proposal.text) <= LONGEST
    assert re.search(r"\nand \d+ files more\n", proposal.text)
    assert re.search(r"\n … and \d+ lines more\n", proposal.text)


def _never(made: Path, published: Path) -> dict[str, Metrics]:
    raise AssertionError("nothing is there to compare with")


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r/raw/"),
        ("git@github.com:o/r.git", "https://github.com/o/r/raw/"),
        ("https://gitlab.example/a/b/c", "https://gitlab.example/a/b/c/-/raw/"),
        ("ssh://git@codeberg.org/o/r", "https://codeberg.org/o/r/raw/commit/"),
    ],
)
def test_pictures_have_the_addresses_of_the_server(url: str, start: str) -> None:
    assert f'<img src="{start}0123/a%20b/c.png"' in _picture(url, "0123", "a b/c.png")
    assert "<img" not in _picture("https://git.example/o/r", "0123", "a/c.png")
