"""The promises of publishing to a server that fails, refuses or listens in."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ci.artifact.manifest import NAME
from ci.errors import PublishError
from ci.publish.retry import Patience
from tests.support.git_server import Fault, GitServer, bare, git, push
from tests.support.publishers import FOLDER, QUICK, Place, artifact, go


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_is_busy_is_tried_again(served: Place, tmp_path: Path, status: int) -> None:
    served.faults.append(Fault(".*", status, times=3))
    served.faults.append(Fault("git-receive-pack$|git/refs", status, times=2, method="POST|PATCH"))
    done = served.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    assert served.commits()[0] == done.commit


def test_an_answer_that_was_lost_after_the_server_took_the_commit_gives_that_commit_and_no_second_one(
    served: Place, tmp_path: Path
) -> None:
    before = served.commits()
    served.faults.append(Fault("git-receive-pack$|git/refs", 502, method="POST|PATCH", late=True))
    done = served.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    assert done.news
    assert served.commits() == [done.commit, *before]


def test_a_pause_that_the_server_asks_for_is_kept(http: Place, tmp_path: Path) -> None:
    http.faults.append(Fault("info/refs", 429, headers={"Retry-After": "1"}))
    lines: list[str] = []
    http.publish(artifact(tmp_path / "gt", {"a": b"a"}), patience=replace(QUICK, say=lines.append))
    assert lines == [f"{http.url}: the server answered 429; trying again in 1.0 s"]


def test_a_pause_that_is_too_long_is_said_and_not_kept(http: Place, tmp_path: Path) -> None:
    http.faults.append(Fault("info/refs", 429, headers={"Retry-After": "86400"}))
    with pytest.raises(PublishError, match=r"answered 429[^$]*nothing was published; to go on[^$]*gt publish"):
        http.publish(artifact(tmp_path / "gt", {"a": b"a"}))


def test_a_server_that_stays_down_is_an_error_with_a_command_to_resume(served: Place, tmp_path: Path) -> None:
    served.faults.append(Fault(".*", 503, times=1000, method="GET|POST|PATCH"))
    patience = Patience(attempts=3, first=0.01, longest=0.02, command="gt publish --to there")
    with pytest.raises(PublishError, match=r"Gave up after 3 tries; nothing was published; to go on[^$]*gt publish"):
        served.publish(artifact(tmp_path / "gt", {"a": b"a"}), patience=patience)


def test_a_commit_that_nobody_knows_of_is_not_called_published(http: Place, tmp_path: Path) -> None:
    http.faults.append(Fault("git-receive-pack$", 502, times=1000, method="POST"))
    patience = Patience(attempts=3, first=0.01, longest=0.02, command="gt publish --to there")
    with pytest.raises(PublishError, match=r"it is not known whether commit [0-9a-f]{40} got there"):
        http.publish(artifact(tmp_path / "gt", {"a": b"a"}), patience=patience)


@pytest.mark.parametrize(("token", "told"), [("wrong", "401"), ("gt_reader", "403|may not write"), ("", "401")])
def test_the_right_to_write_is_checked_before_anything_else(
    served: Place, tmp_path: Path, token: str, told: str
) -> None:
    served.token = token
    with pytest.raises(PublishError, match=told):
        served.publish(artifact(tmp_path / "gt", {"a": b"a"}), gate=_never)


def _never(artifact: Path, published: Path) -> None:
    raise AssertionError("the gate was asked")


def decline(repository: Path, hook: str, words: str) -> None:
    """Let a repository's hook refuse every push."""
    file = repository / "hooks" / hook
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
    file.chmod(0o755)


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
@pytest.mark.parametrize("name", ["http", "path"])
def test_a_hook_that_declines_is_an_error_with_the_servers_words_and_is_not_tried_again(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, hook: str
) -> None:
    place: Place = request.getfixturevalue(name)
    decline(place.bare, hook, "only signed commits, see https://rules\x1b[2J")
    before, lines = place.commits(), list[str]()
    with pytest.raises(PublishError, match=r"does not take the commit: .*hook declined; check the rules") as refused:
        place.publish(artifact(tmp_path / "gt", {"a": b"a"}), patience=replace(QUICK, say=lines.append))
    assert "  the server: only signed commits, see https://rules" in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert "not known" not in str(refused.value)
    assert (lines, place.commits()) == ([], before)


RULES = "Repository rule violations found\n\nCommits must have verified signatures.\n\n"


@pytest.mark.parametrize("status", [403, 422])
def test_rules_of_a_branch_on_github_are_said_in_githubs_words(github: Place, tmp_path: Path, status: int) -> None:
    github.faults.append(Fault("git/refs", status, times=99, method="POST|PATCH", message=RULES))
    lines: list[str] = []
    with pytest.raises(PublishError, match="does not take the commit") as refused:
        github.publish(artifact(tmp_path / "gt", {"a": b"a"}), patience=replace(QUICK, say=lines.append))
    assert "Repository rule violations found; Commits must have verified signatures." in str(refused.value)
    assert "not known" not in str(refused.value)
    assert lines == []


def test_commits_by_githubs_api_have_the_form_that_github_signs(
    github: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "somebody")
    done = github.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    author = git("-C", str(github.bare), "log", "-1", "--format=%an <%ae>", done.commit)
    assert author == "github-actions[bot] <bot@github>"  # whom GitHub names where the request names nobody


@pytest.mark.parametrize("answer", ["<html>", "", "null", "[]", "{}", '{"permissions": {"push": true}}'])
def test_what_a_proxy_answers_is_no_traceback(github: Place, tmp_path: Path, answer: str) -> None:
    github.faults.append(Fault("", 200, times=99, message=answer))
    patience = Patience(attempts=2, first=0.01)
    with pytest.raises(PublishError, match=r"none of GitHub's API|may not write there"):
        github.publish(artifact(tmp_path / "gt", {"a": b"a"}), patience=patience)


def test_a_first_commit_can_be_made_in_an_empty_repository(tmp_path: Path, server: GitServer) -> None:
    for repository, url in ((tmp_path / "p.git", ""), (server.root / "empty.git", "http")):
        bare(repository)
        address = server.url.replace("data.git", "empty.git") if url else str(repository)
        done = go(artifact(tmp_path / "gt", {"a": b"a"}), address, server.token)
        assert git("-C", str(repository), "rev-list", "main") == done.commit


@pytest.mark.parametrize("kind", ["path", "http"])
def test_an_empty_repository_whose_head_names_another_branch_is_published_to_again_and_again(
    kind: str, tmp_path: Path, server: GitServer
) -> None:
    """As `git init --bare` makes one, whatever git's default branch is on the machine."""
    repository = bare(server.root / "empty.git", branch="trunk")
    address = server.url.replace("data.git", "empty.git") if kind == "http" else str(repository)
    first = go(artifact(tmp_path / "gt", {"a": b"a"}), address, server.token)
    assert git("-C", str(repository), "rev-list", "trunk") == first.commit
    same = go(artifact(tmp_path / "gt", {"a": b"a"}), address, server.token, patience=Patience(attempts=1))
    assert same.commit == first.commit
    changed = artifact(tmp_path / "new", {"a": b"b"})
    second = go(changed, address, server.token, accept={"a": "meant"}, patience=Patience(attempts=1))
    assert git("-C", str(repository), "rev-list", "trunk").splitlines() == [second.commit, first.commit]


def test_only_what_changed_is_sent_and_no_history_is_fetched(server: GitServer, http: Place, tmp_path: Path) -> None:
    for number in range(4):
        push(server.bare, {f"{FOLDER}/large_{number}.png": os.urandom(200_000)})
    server.sent.clear()
    done = http.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    assert sum(server.sent) < 20_000
    changed = server.git("diff", "--name-only", f"{done.commit}~", done.commit).splitlines()
    assert changed == [f"{FOLDER}/a_1gpu.png", f"{FOLDER}/{NAME}"]


def test_a_server_that_cannot_leave_files_out_serves_as_well(server: GitServer, http: Place, tmp_path: Path) -> None:
    server.git("config", "uploadpack.allowFilter", "false")
    done = http.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    assert http.commits()[0] == done.commit


@pytest.mark.parametrize("url", ["/nowhere", "nowhere", "ftp://host/x.git", "https:/host"])
def test_what_is_no_address_is_refused_with_what_one_looks_like(tmp_path: Path, url: str) -> None:
    with pytest.raises(PublishError, match=r"is no (directory|address)"):
        go(artifact(tmp_path / "gt", {"a": b"a"}), url)


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("http://127.0.0.1:9/x.git", "git"),
        ("git://127.0.0.1:9/x.git", "git"),
        ("http://nowhere.invalid/x.git", "git"),
        ("git://nowhere.invalid/x.git", "git"),
        ("https://127.0.0.1:9/owner/x", "github-api"),
    ],
)
def test_a_server_that_nobody_listens_at_is_given_up_within_20_seconds_and_each_pause_is_told(
    tmp_path: Path, url: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, lines = [0.0], list[str]()
    monkeypatch.setattr(
        "ci.publish.retry.time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda s: _pass(now, s))
    )
    with pytest.raises(PublishError, match=r"Gave up after [3-5] tries; nothing was published") as given_up:
        go(artifact(tmp_path / "gt", {"a": b"a"}), url, way=way, patience=Patience(say=lines.append))
    assert now[0] < 10  # and no more than one try of 10 s without an answer comes on top
    assert len(lines) in (2, 3, 4)
    assert all(re.fullmatch(r"[\w:/.]+: .*; trying again in \d\.\d s", line) for line in lines)
    assert " object at 0x" not in str(given_up.value)


def _pass(now: list[float], seconds: float) -> None:
    now[0] += seconds


def test_pauses_are_told_on_a_terminal_in_words_alone(
    served: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served.faults.append(Fault(".*", 503, times=2))
    served.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    assert [record.levelname for record in caplog.records if "trying again" in record.message] == ["WARNING"] * 2


@pytest.mark.parametrize("fault", [None, Fault("receive-pack", 500, times=2), Fault("POST|upload-pack", 403)])
def test_the_token_is_nowhere_to_be_seen(
    server: GitServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    caplog.set_level(logging.DEBUG)
    server.watching = True
    server.faults += [fault] if fault else []
    said = ""
    seen: list[Path] = []

    def look(_: Path, __: Path) -> None:
        seen.extend(path for path in Path(tempfile.gettempdir()).rglob("*") if path.is_file())
        assert not [path for path in seen if server.token.encode() in path.read_bytes()]

    try:
        go(artifact(tmp_path / "gt", {"a": b"a"}), server.url, server.token, gate=look)
    except PublishError as error:
        said = "".join(traceback.format_exception(error))
    assert bool(said) == (fault is not None and fault.status == 403)
    assert seen or said
    assert server.token not in said + caplog.text
    assert server.arguments
    assert not [line for line in server.arguments if server.token in line]


def test_what_was_sent_before_the_right_was_taken_away_is_said_to_be_unknown(http: Place, tmp_path: Path) -> None:
    http.faults += [Fault("git-receive-pack$", 502, method="POST"), Fault("upload-pack", 403, times=100)]
    http.faults[1].times = 0

    def take_away(line: str) -> None:
        http.faults[1].times = 100

    patience = replace(QUICK, say=take_away)
    with pytest.raises(
        PublishError, match=r"403[^$]*Before that a commit was sent: it is not known whether commit [0-9a-f]{40}"
    ):
        http.publish(artifact(tmp_path / "gt", {"a": b"a"}), patience=patience)
