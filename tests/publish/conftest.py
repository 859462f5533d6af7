"""Data repositories of each kind: behind HTTP, at a path, and behind GitHub's API."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_github import FakeGithub
from tests.support.git_server import GitServer, bare
from tests.support.publishers import OTHERS, Place


@pytest.fixture(autouse=True)
def _quiet(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("tmp")))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    server = GitServer(tmp_path / "server")
    bare(server.bare, OTHERS)
    server.git("config", "uploadpack.allowFilter", "true")
    with server.serving():
        yield server


@pytest.fixture
def http(server: GitServer) -> Place:
    return Place("http", server.url, server.token, server.bare, server.faults)


@pytest.fixture
def path(tmp_path: Path) -> Place:
    repository = bare(tmp_path / "data.git", OTHERS)
    return Place("path", str(repository), "", repository, [])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGithub]:
    hub = FakeGithub(bare(tmp_path / "data.git", OTHERS))
    monkeypatch.setenv("GITHUB_API_URL", hub.api)
    with hub.serving():
        yield hub


@pytest.fixture
def github(hub: FakeGithub) -> Place:
    return Place("github", hub.url, hub.token, hub.bare, hub.faults, "github-api")


@pytest.fixture(params=["http", "path", "github"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of data repository."""
    place: Place = request.getfixturevalue(request.param)
    return place


@pytest.fixture(params=["http", "github"])
def served(request: pytest.FixtureRequest) -> Place:
    """Each kind that is behind a server."""
    place: Place = request.getfixturevalue(request.param)
    return place
