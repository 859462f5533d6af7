"""What is typed for a data repository is refused before it is used, in words, and no secret in it is repeated."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.errors import FetchError, PublishError
from ci.publish.fetch.request import Request
from ci.publish.remotes.address import sound_branch, sound_token
from ci.publish.remotes.base import READ
from ci.publish.remotes.opening import GIT, WAYS, opened, reading
from ci.publish.source import Source, branch_for
from ci.verbs.publish_on_engine import check_reached


def refusals(url: str) -> list[str]:
    """What every door says of an address."""
    said = []
    for way in WAYS:
        with pytest.raises(PublishError) as refused, opened(url, way):
            pass
        said.append(str(refused.value))
    for door in (
        lambda: reading(Request.of(f"{url}@main").repository),
        lambda: check_reached(url, "--to", "gt publish"),
    ):
        with pytest.raises((PublishError, FetchError)) as told:
            door()
        said.append(str(told.value))
    return said


@pytest.mark.parametrize(
    "url",
    [
        "https://me:s3cret@host/owner/x.git",
        "https://s3cret@host/owner/x.git",
        "ssh://me:s3cret@host/owner/x",
        "ftp://me:s3cret@host/owner/x",
        "https://me:s3cret@host:99999/owner/x",
        "https://me:s3cret@[host/owner/x",
        "https://me:s3cret/owner/x",
    ],
)
def test_an_address_that_holds_a_secret_is_refused_without_repeating_it(url: str) -> None:
    assert not [line for line in refusals(url) if "s3cret" in line]


@pytest.mark.parametrize(
    "url",
    [
        *("https://[x/owner/x", "https://host:abc/owner/x", "https://ho st/owner/x", "http://%zz/owner/x"),
        *("git://", "ssh:///owner/x", "ssh://-oProxyCommand=x/owner/x", "-oProxyCommand=x:owner/x"),
        *("https://host/owner/x\ny", "https://host/owner/\udcff", "ftp://host/owner/x"),
    ],
)
def test_what_is_no_address_is_refused_by_every_door_in_words(url: str) -> None:
    assert len(refusals(url)) == 4


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret\r\n", " s3cret"])
def test_white_space_around_a_token_is_no_part_of_it(token: str) -> None:
    assert sound_token(token) == "s3cret"


@pytest.mark.parametrize("token", ["s3c\nret", "s3c\0ret", "s3crét", "s3cret\udcff", "s3cret\x7f"])
def test_a_token_that_no_header_can_hold_is_refused_without_repeating_it(token: str) -> None:
    for way in WAYS:
        with pytest.raises(PublishError, match="GT_PUBLISH_TOKEN holds characters") as refused:
            opened("https://github.com/owner/data", way, token=token)
        assert "s3c" not in str(refused.value)
    with pytest.raises(PublishError, match="GT_FETCH_TOKEN holds characters"):
        sound_token(token, READ)


def is_branch(name: str) -> bool:
    return (
        subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False).returncode == 0
    )


BRANCHES = ["main", "a/b", "gt/x-1", "ü", "@", "a.b"]
NONE = [
    "a b",
    "a..b",
    "-x",
    "x.lock",
    "x.lock/y",
    "x/",
    "/x",
    ".x",
    "a/.x",
    "a:b",
    "a~b",
    "a\\b",
    "a@{b",
    "a//b",
    "HEAD",
]


@pytest.mark.parametrize("name", [*BRANCHES, *NONE])
def test_a_branch_is_what_git_takes_for_one(name: str) -> None:
    assert is_branch(name) == (name in BRANCHES)
    for way in WAYS if name in NONE else ():
        with pytest.raises(PublishError, match="is no name of a branch"):
            opened("https://github.com/owner/data", way, name)
    if name in BRANCHES:
        assert sound_branch(name) == sound_branch(f"refs/heads/{name}") == name


@pytest.mark.parametrize("name", ["refs/tags/v1", "refs/heads/", "refs/heads/refs/heads/main", "a\nb", "\udcff"])
def test_no_branch_is_made_below_another_one_s_full_name_or_of_what_is_no_text(name: str) -> None:
    with pytest.raises(PublishError, match="is no name of a branch"):
        opened("https://github.com/owner/data", GIT, name)


@pytest.mark.parametrize("name", ["x" * 251, "ü" * 126, "a/" * 125 + "b", "gt/" + "x" * 5000])
def test_a_branch_that_no_server_can_keep_is_refused_in_words(name: str) -> None:
    with pytest.raises(PublishError, match=r"has \d+ bytes, and git servers take 250 at most") as refused:
        opened("https://github.com/owner/data", GIT, name)
    assert len(str(refused.value)) < 200
    assert sound_branch(name[:121]) == name[:121]


@given(st.text(min_size=1, max_size=20).filter(str.strip))
def test_the_branch_of_a_ref_is_one_that_can_be_published_to(ref: str) -> None:
    try:
        branch = branch_for("", Source(ref))
    except PublishError:
        return
    assert sound_branch(branch) == branch
