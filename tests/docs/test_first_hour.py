"""README's first commands and the tutorial give what they say, typed one after the other as a reader does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from tests.conftest import ROOT, gt_command
from tests.support.pages import DOCS, README, blocks, words

LONGEST = 150  # lines: everything else goes to docs/
TUTORIAL = DOCS / "start" / "tutorial.md"
BROWSERS = "python3 -m webbrowser "


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's cache: README's first command, which is the tutorial's too, need not make the cases again."""
    return tmp_path_factory.mktemp("cache")


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST


@dataclass(frozen=True)
class Step:
    """A command of a page, its exit status there, and the output that the page shows below it."""

    command: str
    status: int
    shown: list[str]

    def fits(self, output: str) -> bool:
        """Whether this is what the page shows; there, … stands for anything."""
        pattern = "\n".join(re.escape(line).replace("…", "[^\n]*") for line in self.shown)
        lines = pattern.replace("[^\n]*\n", "(?:[^\n]*\n)*?").removesuffix("\n[^\n]*")
        whole = self.shown[-1:] != ["…"]
        return not self.shown or re.match(lines + (r"\n*\Z" if whole else ""), output) is not None


def steps(page: Path) -> Iterator[Step]:
    """Every command of a page, in order."""
    for block in blocks("console", page=page):
        rest = block.text.splitlines()
        while rest:
            line = rest.pop(0)
            assert line.startswith("$ "), line
            status = re.search(r"# exit status (\d+)$", line)
            shown = list(takewhile(lambda line: not line.startswith("$ "), rest))
            del rest[: len(shown)]
            yield Step(line.removeprefix("$ "), int(status[1]) if status else 0, shown)


def typed(commands: list[str], folder: Path, env: dict[str, str]) -> list[tuple[int, str]]:
    """Exit status and output of each command, in one shell."""
    script = "".join(f"{{ {command}\n}} 2>&1; printf '\\1%d\\2' $?\n" for command in commands)
    shell = ["bash", "--noprofile", "--norc", "-c", script]
    done = subprocess.run(shell, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    ends = re.findall(r"(.*?)\x01(\d+)\x02", done.stdout, re.DOTALL)
    return [(int(status), output) for output, status in ends]


def test_the_tutorial_gives_what_it_shows_command_by_command(tmp_path: Path, cache: Path) -> None:
    page = list(steps(TUTORIAL))
    clone = tmp_path / "diffusion-gt"
    shutil.copytree(ROOT / "cases", clone / "cases")
    (clone / ".venv").symlink_to(sys.prefix)
    env = os.environ | {"GT_CACHE": str(cache), "BROWSER": "true", "COLUMNS": "80", "GIT_CONFIG_GLOBAL": os.devnull}
    done = typed([step.command for step in page], clone, env)
    for step, (status, output) in zip(page, done, strict=True):
        assert status == step.status, f"{step.command}\n{output}"
        assert step.fits(output), f"{step.command}\n{output}"
    assert [path.name for path in clone.iterdir() if path.is_dir()] in (["cases", ".venv"], [".venv", "cases"])
    opened = [step.command.removeprefix(BROWSERS) for step in page if step.command.startswith(BROWSERS)]
    assert opened == ["gt/smoke_t2i_1gpu.jpg", "comparison/report.html"]


def test_the_first_commands_give_what_the_readme_shows(tmp_path: Path, cache: Path) -> None:
    """The smoke cases, made as the README says; the test suite does not run itself."""
    first, second, *_ = blocks("console", page=README)
    lines = [words(line) for line in (*first.commands, *second.commands)]
    assert [line[0] for line in lines] == ["gt", "pytest", "ls", "gt"]
    output = ""
    for line in lines:
        if line[0] == "gt":
            command, env = gt_command(*line[1:]), os.environ | {"GT_CACHE": str(cache)}
            done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            output += done.stdout
    (listing,) = re.findall(r"^manifest\.json  .*$", second.text, re.MULTILINE)
    assert {name for name in listing.split() if name != "…"} <= {path.name for path in (tmp_path / "gt").iterdir()}
    assert output.strip() == second.text.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("shown", "output", "fits"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a", "b"], "a\nb\nc\n", False),
        (["a", "…", "c"], "a\nb\nb\nc\n", True),
        (["a", "…", "c"], "a\nb\nd\n", False),
        (["…", "c: … s"], "a\nc: 1.2 s\n", True),
        (["…", "c: … s"], "a\nc: 1.2 m\n", False),
        (["a", "…"], "a\nb\n", True),
        (["b", "…"], "a\nb\n", False),
        ([], "a\n", True),
    ],
)
def test_a_page_that_shows_another_output_is_noticed(shown: list[str], output: str, *, fits: bool) -> None:
    assert Step("", 0, shown).fits(output) == fits
