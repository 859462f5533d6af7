"""A release: tag, package and changelog agree, and the workflow does what a release is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ci.artifact import tool as tools
from ci.artifact.records import Tool
from tests.conftest import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
SCRIPT = ROOT / ".github" / "release.py"
TWO = """# Changelog

## [1.2.0] - 2026-02-01

### Added

- The new.

## [1.1.0] - 2026-01-01

### Fixed

- The old.

[1.2.0]: https://example.com/1.2.0
"""


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("release", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = _module()


def project(folder: Path, changelog: str = TWO, version: str = "1.2.0") -> Path:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(changelog)
    return folder


def test_the_newest_version_of_the_changelog_is_the_packages() -> None:
    versions = [found["version"] for found in release.HEADING.finditer(CHANGELOG)]
    assert versions[0] == PACKAGE
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version.split(".")], reverse=True)


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert all(release.HEADING.fullmatch(f"## {heading}") for heading in headings)
    kinds = re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)
    assert kinds
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for version in release.HEADING.findall(CHANGELOG):
        assert f"\n[{version[0]}]: https://" in CHANGELOG


def test_the_lock_file_has_the_packages_version() -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert [entry["version"] for entry in locked if entry["name"] == "diffusion-gt"] == [PACKAGE]


def test_a_releases_text_is_its_own_section(tmp_path: Path) -> None:
    assert release.notes("v1.2.0", project(tmp_path)) == "### Added\n\n- The new.\n"
    only = TWO.split("## [1.1.0]", maxsplit=1)[0]
    assert release.notes("v1.2.0", project(tmp_path, only)) == "### Added\n\n- The new.\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "said"),
    [
        ("1.2.0", TWO, "'1.2.0' is not the tag of a release; write v1.2.3"),
        ("v1.3.0", TWO, "the tag is v1.3.0, pyproject.toml has version 1.2.0; `uv version 1.3.0` sets it"),
        ("v1.2.0", TWO.replace("[1.2.0] -", "[1.3.0] -"), "the newest version in CHANGELOG.md is 1.3.0"),
        ("v1.2.0", TWO.replace("2026-02-01", "unreleased"), "1.2.0 in CHANGELOG.md is unreleased; write the date"),
        ("v1.2.0", "# Changelog\n", "CHANGELOG.md has no version"),
    ],
)
def test_what_does_not_agree_is_said(tmp_path: Path, tag: str, changelog: str, said: str) -> None:
    with pytest.raises(release.ReleaseError, match=re.escape(said)):
        release.notes(tag, project(tmp_path, changelog))


@given(st.text())
def test_what_is_no_version_is_no_release(text: str) -> None:
    with pytest.raises(release.ReleaseError):
        release.notes(text)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_manifest_names_a_checkout_by_its_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    installed = importlib.metadata.version("diffusion-gt")
    assert tools.of_checkout() == Tool(version=installed, commit=None, dirty=None)  # not known
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "a")
    assert tools.of_checkout().version == installed
    git(tmp_path, "tag", "-a", "v1.2.0", "-m", "a")
    git(tmp_path, "tag", "v1")
    first = git(tmp_path, "rev-parse", "HEAD")
    assert tools.of_checkout() == Tool(version="1.2.0", commit=first, dirty=False)
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "b")
    git(tmp_path, "tag", "--force", "v1")
    (tmp_path / "new").touch()
    second = git(tmp_path, "rev-parse", "HEAD")
    abbreviated = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert tools.of_checkout() == Tool(version=f"1.2.0-1-g{abbreviated}", commit=second, dirty=True)


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = WORKFLOW["jobs"][job]["steps"]
    return found


def test_nothing_may_write_but_the_release_itself_and_only_after_the_tests() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()} == {
        "check": {"contents": "read"},
        "release": {"contents": "write"},
    }
    assert WORKFLOW["jobs"]["release"]["needs"] == "check"
    assert ".ci/run" in [step.get("run") for step in steps("check")]
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is False
    for step in (*steps("check"), *steps("release")):
        if "uses" in step:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
        if "checkout" in step.get("uses", ""):
            assert step["with"] == {"persist-credentials": False}
        assert "${{" not in step.get("run", "")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout that is to be released, and programs that stand in for `gh` and the tests."""
    (tmp_path / "work").mkdir()
    work = project(tmp_path / "work")
    for folder in (work / ".ci", work / ".github", tmp_path / "bin"):
        folder.mkdir()
    shutil.copy(SCRIPT, work / ".github")
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    programs = {
        tmp_path / "bin" / "gh": f'printf "%s\\n" "$*" >> {tmp_path}/gh; [ "$3" != PATCH ] || [ -e {tmp_path}/major ]',
        work / ".ci" / "run": f"touch {tmp_path}/tested",
    }
    for path, script in programs.items():
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    return tmp_path


def run(machine: Path, job: str, tag: str) -> subprocess.CompletedProcess[str]:
    """Run the scripts of a job one after the other, as the runner does."""
    env = {
        "PATH": f"{machine / 'bin'}:/usr/bin:/bin",
        "GITHUB_REF_NAME": tag,
        "GITHUB_SHA": "0123abc",
        "GITHUB_REPOSITORY": "OWNER/diffusion-gt",
        "RUNNER_TEMP": str(machine),
    }
    for script in (step["run"] for step in steps(job) if "run" in step):
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=machine / "work", env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            break
    return done


def test_a_tag_that_agrees_is_tested_released_with_its_section_and_followed_by_the_major_tag(machine: Path) -> None:
    assert run(machine, "check", "v1.2.0").returncode == 0
    assert (machine / "tested").exists()
    assert run(machine, "release", "v1.2.0").returncode == 0
    create, patch, post = (machine / "gh").read_text().splitlines()
    notes = machine / "notes.md"
    assert create == f"release create v1.2.0 --verify-tag --title v1.2.0 --notes-file {notes}"
    assert notes.read_text() == "### Added\n\n- The new.\n"
    refs = "repos/OWNER/diffusion-gt/git/refs"
    assert patch == f"api -X PATCH {refs}/tags/v1 -f sha=0123abc -F force=true"
    assert post == f"api -X POST {refs} -f ref=refs/tags/v1 -f sha=0123abc"
    (machine / "major").touch()
    assert run(machine, "release", "v1.2.0").returncode == 0
    assert (machine / "gh").read_text().splitlines()[3:] == [create, patch]  # a tag that is there is moved


def test_a_tag_that_does_not_agree_runs_no_test_and_releases_nothing(machine: Path) -> None:
    for job in ("check", "release"):
        assert run(machine, job, "v1.3.0").returncode != 0
    assert not (machine / "tested").exists()
    assert not (machine / "gh").exists()


def test_the_command_says_what_is_wrong_without_a_traceback() -> None:
    command = [sys.executable, str(SCRIPT), "v999.0.0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"release: the tag is v999.0.0, pyproject.toml has version {PACKAGE}; `uv version 999.0.0` sets it\n"
    )
