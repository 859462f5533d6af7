"""What git tracks here belongs here: no artifact of a trial, no picture that nobody shows."""

from __future__ import annotations

import re
import subprocess
from itertools import chain
from pathlib import PurePosixPath

import pytest

from ci.cli import VERBS
from ci.verbs.fields import fields
from ci.verbs.options import Folder, Written
from tests.conftest import ROOT
from tests.support.pages import PAGES

# Of the top level; its folders are those that ARCHITECTURE.md explains.
FILES = {
    *(".gitattributes", ".gitignore", ".pre-commit-config.yaml", "action.yml", "dagger.json", "pyproject.toml"),
    *("renovate.json", "uv.lock", "LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"),
    "SECURITY.md",
}
# What our verbs write, wherever it may lie.
WRITTEN = {"manifest.json", "trace.json", "compare.json", "report.html", "junit.xml", "diverge.json", "diverge.txt"}
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg", ".mp4"}


def folders() -> set[str]:
    """The folders of the top level that ARCHITECTURE.md explains."""
    rooms = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("\n## Rooms\n")[1].split("\n## ")[0]
    return {name for row in re.findall(r"^\|(.*?)\|", rooms, re.MULTILINE) for name in re.findall(r"`([\w.]+)/", row)}


def shown() -> set[PurePosixPath]:
    """The pictures that our pages show, and the inputs of our cases."""
    targets = {
        (page.parent / target).resolve().relative_to(ROOT)
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    }
    texts = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "cases").glob("*.yaml"))
    return {PurePosixPath(path) for path in targets} | {
        PurePosixPath("cases") / name for name in re.findall(r"\binputs/[\w.]+", texts)
    }


def out_of_place(tracked: set[PurePosixPath]) -> list[str]:
    """The tracked files that do not belong here, each with why."""
    known, pictures, lines = folders(), shown(), []
    for path in sorted(tracked):
        if path.parts[0] not in (known if len(path.parts) > 1 else FILES):
            lines.append(f"{path}: {path.parts[0]} is not named in ARCHITECTURE.md, nor in this test")
        elif path.name in WRITTEN:
            lines.append(f"{path}: a verb wrote it")
        elif path.suffix.lower() in PICTURES and path not in pictures:
            lines.append(f"{path}: no page shows it")
    return lines


@pytest.fixture(scope="module")
def tracked() -> set[PurePosixPath]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, so nothing says which files are tracked")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {PurePosixPath(name) for name in done.stdout.split("\0") if name}


def test_every_tracked_file_belongs_here(tracked: set[PurePosixPath]) -> None:
    assert out_of_place(tracked) == []


def test_every_name_of_the_top_level_is_there(tracked: set[PurePosixPath]) -> None:
    assert folders() | FILES == {path.parts[0] for path in tracked}


@pytest.mark.usefixtures("tracked")  # no checkout, no answer
def test_git_ignores_where_a_verb_writes_unless_it_is_told_otherwise() -> None:
    written = [
        field.default for verb in chain(*VERBS.values()) for field in fields(verb) if field.mark(Written) is not None
    ]
    folders = {f"{default.path}/file" for default in written if isinstance(default, Folder)}
    assert len(folders) >= 5
    command = ["git", "check-ignore", "--no-index", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(done.stdout.splitlines()) == folders


@pytest.mark.usefixtures("tracked")
def test_no_tracked_file_is_one_that_git_is_told_to_ignore() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize(
    "stray",
    [
        *("manifest.json", "smoke_t2i_1gpu.jpg", "divergence/diverge.json", "notes.md", ".env"),
        *("docs/run/gt/manifest.json", "tests/comparison/report.html", "examples/traces/reference/trace.json"),
        *("docs/images/old.png", "bench/figures/old.svg", "cases/inputs/unused.png"),
    ],
)
def test_a_file_that_a_trial_left_is_noticed(stray: str) -> None:
    (line,) = out_of_place({PurePosixPath("README.md"), PurePosixPath(stray)})
    assert line.startswith(f"{stray}: ")
