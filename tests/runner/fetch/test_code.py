"""The promises of fetching code: the pinned commit, unchanged, fetched once; or a local folder, by its content."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import stamina

from gt_runner.contract import Case, Fetched
from gt_runner.errors import FetchError
from gt_runner.fetch.case_files import identify
from gt_runner.fetch.folders import Folders
from tests.support.fake_hub import Fault, Server, serving

REPO = "owner/code"
FILES = {"src/wan/__init__.py": b"VALUE = 1\n", "src/wan/dos.py": b"x = 1\r\n", "README.md": b"read me\n"}


class Origin:
    """A bare repository on this machine that stands in for GitHub."""

    def __init__(self, root: Path) -> None:
        self.bare = root / "github" / f"{REPO}"
        self._work = root / "work"
        git("init", "--quiet", "--bare", str(self.bare))
        git("init", "--quiet", str(self._work))
        self.old = self.commit(FILES)
        self.new = self.commit({"src/wan/__init__.py": b"VALUE = 2\n"})

    def commit(self, files: dict[str, bytes]) -> str:
        write(self._work, files)
        git("-C", str(self._work), "add", ".")
        git("-C", str(self._work), "commit", "--quiet", "-m", "x")
        git("-C", str(self._work), "push", "--quiet", str(self.bare), "HEAD:main")
        return git("-C", str(self._work), "rev-parse", "HEAD")

    def clone(self, folder: Path, commit: str) -> None:
        git("clone", "--quiet", str(self.bare), str(folder), "--branch", "main")
        git("-C", str(folder), "checkout", "--quiet", commit)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)


def mirror(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Git's own setting sends what is meant for GitHub elsewhere, as a user with a mirror would have it."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{url}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for key in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(key, os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    origin = Origin(tmp_path)
    mirror(monkeypatch, f"file://{tmp_path}/github")
    return origin


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(cache=tmp_path / "cache", local=None)


@pytest.fixture
def with_local(folders: Folders, tmp_path: Path) -> Folders:
    (tmp_path / "models").mkdir()
    return Folders(folders.cache, tmp_path / "models")


def get(folders: Folders, commit: str, paths: tuple[str, ...] = ("src",)) -> Fetched:
    code = {"repo": REPO, "commit": commit, "paths": list(paths)}
    case: dict[str, Any] = {"id": "a", "source": "wan21", "model": {"tiny": "x"}, "code": code, "base": "."}
    return identify(cast("Case", case), folders)


def test_the_pinned_commit_is_checked_out_byte_for_byte(origin: Origin, folders: Folders) -> None:
    found = get(folders, origin.old)
    assert found["code"] == str(folders.cache / "code" / f"owner--code@{origin.old}")
    assert found["code_identity"] == f"commit:{origin.old}"
    assert {name: (Path(found["code"]) / name).read_bytes() for name in FILES} == FILES


def test_a_case_without_code_has_none(folders: Folders) -> None:
    case = cast("Case", {"id": "a", "source": "smoke", "model": {"tiny": "x"}, "base": "."})
    assert (identify(case, folders)["code"], identify(case, folders)["code_identity"]) == (None, None)


def test_code_is_fetched_once(origin: Origin, folders: Folders) -> None:
    first = get(folders, origin.old)
    shutil.rmtree(origin.bare)
    assert get(folders, origin.old) == first


def test_a_commit_that_is_not_there_is_named_and_leaves_nothing(origin: Origin, folders: Folders) -> None:
    with pytest.raises(
        FetchError, match=rf"owner/code at {'1' * 40}: git says: .*not our ref.*; check the case's code"
    ):
        get(folders, "1" * 40)
    assert [path.suffix for path in (folders.cache / "code").iterdir()] == [".lock"]


def test_a_path_that_the_commit_does_not_have_is_named(origin: Origin, folders: Folders) -> None:
    with pytest.raises(
        FetchError, match=rf"owner/code has no folder lib at {origin.old}; correct the case's code\.paths"
    ):
        get(folders, origin.old, ("src", "lib"))


def test_a_server_that_is_down_is_asked_again_and_named(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.plant(Fault("", 99, status=503))
    mirror(monkeypatch, server.url)
    with serving(server), pytest.raises(FetchError, match=r"git says: .*503.*; check the case's code and the network"):
        get(folders, "1" * 40)
    assert len(server.log) == 3


def test_a_repository_that_is_not_there_is_named_at_once(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    mirror(monkeypatch, server.url)
    with serving(server), pytest.raises(FetchError, match=r"owner/code at 1+: git says: .*not found"):
        get(folders, "1" * 40)
    assert len(server.log) == 1


def test_without_git_it_is_asked_for(origin: Origin, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folders.cache))
    with pytest.raises(FetchError, match="git is needed here, and is not installed"):
        get(folders, origin.old)


def test_a_checkout_that_was_changed_in_the_cache_is_refused(origin: Origin, folders: Folders) -> None:
    found = get(folders, origin.old)
    write(Path(str(found["code"])), {"src/wan/__pycache__/x.pyc": b"python's own"})
    assert get(folders, origin.old) == found
    write(Path(str(found["code"])), {"src/wan/__init__.py": b"VALUE = 3\n"})
    with pytest.raises(
        FetchError, match=r"under code/ in the cache was changed: M src/wan/__init__\.py; .*remove the folder"
    ):
        get(folders, origin.old)


def test_what_a_killed_process_left_is_made_anew(origin: Origin, folders: Folders) -> None:
    write(folders.cache / "code" / f".owner--code@{origin.old}.partial", {"src/half": b"half"})
    found = get(folders, origin.old)
    assert sorted(path.name for path in Path(str(found["code"])).iterdir()) == [".git", "README.md", "src"]


def test_two_at_once_share_one_checkout(origin: Origin, folders: Folders) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: get(folders, origin.old), range(4)))
    assert all(one == found[0] for one in found)


def test_a_git_hook_around_us_does_not_lead_git_astray(
    origin: Origin, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(origin.bare))
    assert get(folders, origin.old)["code_identity"] == f"commit:{origin.old}"


# local folders


def test_a_local_checkout_stands_in_if_it_is_at_the_pin(origin: Origin, with_local: Folders, tmp_path: Path) -> None:
    origin.clone(tmp_path / "models" / REPO, origin.old)
    found = get(with_local, origin.old)
    assert found["code"] == str(tmp_path / "models" / REPO)
    assert found["code_identity"] == f"commit:{origin.old}"
    with pytest.raises(
        FetchError, match=rf"owner/code in the --models folder is at {origin.old}, the case pins {origin.new}"
    ):
        get(with_local, origin.new)


def test_a_local_checkout_with_changes_is_refused(origin: Origin, with_local: Folders, tmp_path: Path) -> None:
    origin.clone(tmp_path / "models" / REPO, origin.old)
    write(tmp_path / "models" / REPO, {"src/wan/__init__.py": b"VALUE = 3\n"})
    with pytest.raises(FetchError, match=r"was changed: M src/wan/__init__\.py; undo the changes"):
        get(with_local, origin.old)


def test_a_plain_local_folder_is_identified_by_the_content_of_its_paths(with_local: Folders, tmp_path: Path) -> None:
    folder = tmp_path / "models" / REPO
    write(folder, FILES | {"weights.safetensors": b"large"})
    lines = [
        f"{name}\0{len(body)}\0{hashlib.sha256(body).hexdigest()}\n"
        for name, body in sorted(FILES.items())
        if name.startswith("src/")
    ]
    found = get(with_local, "1" * 40)
    assert found["code"] == str(folder)
    assert found["code_identity"] == f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
    write(folder, {"src/wan/__pycache__/x.pyc": b"python's own", "weights.safetensors": b"others"})
    assert get(with_local, "1" * 40) == found
    write(folder, {"src/wan/dos.py": b"x = 2\r\n"})
    assert get(with_local, "1" * 40)["code_identity"] != found["code_identity"]


def test_weights_of_the_same_name_do_not_pass_for_code(origin: Origin, with_local: Folders, tmp_path: Path) -> None:
    write(tmp_path / "models" / REPO, {"ltx-2-19b-dev.safetensors": b"weights"})
    assert get(with_local, origin.old)["code_identity"] == f"commit:{origin.old}"
