"""What answers in place of a git server, or of GitHub's API, is said in words, and never a traceback."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from dulwich.objects import Tree
from dulwich.repo import Repo

from ci.errors import GtError, PublishError
from ci.publish.fetch.fetch import Order, run
from ci.publish.fetch.request import Request
from ci.publish.remotes import transport
from ci.publish.remotes.opening import opened, reading
from ci.publish.retry import Patience
from tests.support import git_server
from tests.support.git_server import Fault, GitServer, bare, git
from tests.support.publishers import FOLDER, OTHERS, Place, artifact, go

TWICE = Patience(attempts=2, first=0.01, longest=0.02)
Answer = tuple[int, dict[str, str], bytes]
OTHERWISE: dict[str, Callable[[Answer], Answer]] = {
    "a page": lambda _: (200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"),
    "no compression": lambda answer: (200, {**answer[1], "Content-Encoding": "gzip"}, answer[2]),
    "a way to nowhere": lambda _: (302, {"Location": "http://[bad/"}, b""),
    "too long": lambda answer: (200, answer[1], b"ffff" + b"x" * 70_000),
    "damaged": lambda answer: (
        200,
        answer[1],
        answer[2].replace(b"refs", b"\xff\xff\xff\xff").replace(b"PACK", b"KCAP"),
    ),
    "half": lambda answer: (200, answer[1], answer[2][: len(answer[2]) // 2]),
}


@pytest.mark.parametrize("kind", OTHERWISE)
def test_an_answer_that_is_none_of_a_git_server_is_no_traceback(
    kind: str, server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(artifact(tmp_path / "gt", {"a": b"a"}), server.url, server.token)
    new, request = artifact(tmp_path / "new", {"b": b"b"}), Request.of(f"{server.url}@main:gt/official", "h100")
    order, backend = Order(tmp_path / "out", tmp_path / "gt.lock", request), git_server._Handler._backend
    doors: list[Callable[[], object]] = [
        lambda: go(new, server.url, server.token, patience=TWICE),
        lambda: run(order, lambda url: reading(url, server.token), TWICE),
    ]
    for first in (1, 2, 3, 4, 5):  # the first request that is answered so

        def answer(self: git_server._Handler, body: bytes, user: str, first: int = first) -> Answer:
            whole = backend(self, body, user)
            return OTHERWISE[kind](whole) if len(server.asked) >= first else whole

        monkeypatch.setattr(git_server._Handler, "_backend", answer)
        for door in doors:
            server.asked.clear()
            with pytest.raises(GtError) if first == 1 else suppress(GtError):
                door()


@pytest.mark.parametrize("said", ["<html>", "null", "[1]", '[{"a": 1}]', "{}"])
def test_a_page_in_place_of_the_open_requests_is_no_traceback(github: Place, said: str) -> None:
    github.faults.append(Fault("pulls", 200, times=99, message=said))
    with opened(github.url, "github-api", "x", github.token) as remote, pytest.raises(PublishError, match="proxy"):
        TWICE.keep_trying(lambda: remote.propose("main", "title", "text"))


@pytest.mark.parametrize("where", ["http://127.0.0.1:1/[", "/repos/owner/data/"])
def test_ways_that_lead_round_or_nowhere_are_no_traceback(github: Place, tmp_path: Path, where: str) -> None:
    github.faults.append(Fault("", 302, times=999, headers={"Location": where}))
    with pytest.raises(PublishError):
        go(artifact(tmp_path / "gt", {"a": b"a"}), github.url, github.token, way="github-api", patience=TWICE)


@pytest.mark.parametrize("kind", ["path", "http"])
@pytest.mark.parametrize("head", ["refs/heads/gone", "a commit", "a commit of a branch that is not main"])
def test_a_head_that_names_no_branch_leaves_the_default_to_main(
    kind: str, head: str, server: GitServer, tmp_path: Path
) -> None:
    commit = server.git("rev-parse", "main")
    if head == "refs/heads/gone":
        server.git("symbolic-ref", "HEAD", head)
    else:
        server.git("update-ref", "--no-deref", "HEAD", commit)
    if "not main" in head:
        server.git("update-ref", "refs/heads/other", commit)
        server.git("update-ref", "-d", "refs/heads/main")
    url = server.url if kind == "http" else str(server.bare)
    done = go(artifact(tmp_path / "gt", {"a": b"a"}), url, server.token, patience=Patience(attempts=1))
    assert server.git("rev-list", "main").splitlines() == [done.commit, commit]


def test_a_branch_whose_name_is_no_utf_8_spoils_no_other_one(tmp_path: Path) -> None:
    repository = bare(tmp_path / "data.git", OTHERS)
    commit = git("-C", str(repository), "rev-parse", "main")
    with (repository / "packed-refs").open("ab") as file:
        file.write(commit.encode() + b" refs/heads/\xff\n")
    with reading(str(repository)) as reader:
        assert reader.commit("main") == commit


@pytest.mark.parametrize("name", ["a_1gpu.png", "manifest.json"])
def test_what_a_server_names_as_a_file_and_is_none_is_refused(server: GitServer, tmp_path: Path, name: str) -> None:
    inner = Tree()
    inner[name.encode()] = (0o100644, Tree().id)
    with Repo(str(server.bare)) as repository:
        for folder in (None, *reversed(FOLDER.split("/"))):
            if folder is not None:
                outer = Tree()
                outer[folder.encode()] = (0o040000, inner.id)
                inner = outer
            repository.object_store.add_objects([(Tree(), None), (inner, None)])
    commit = server.git("commit-tree", inner.id.decode(), "-m", "bent")
    server.git("update-ref", "refs/heads/main", commit)
    with pytest.raises(PublishError, match="is named as a file, and is none"):
        go(artifact(tmp_path / "gt", {"a": b"a"}), str(server.bare), patience=TWICE)


def test_a_server_that_accepts_and_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(PublishError, match="timed out"):
            go(artifact(tmp_path / "gt", {"a": b"a"}), url, patience=TWICE)
    assert socket.getdefaulttimeout() is None
