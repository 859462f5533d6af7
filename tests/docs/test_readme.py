"""README.md: its first commands give what it says, and it stays short."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.conftest import gt_command
from tests.support.pages import README, blocks, words

LONGEST = 150  # lines: everything else goes to docs/


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST


def test_the_first_commands_give_what_the_readme_shows(tmp_path: Path) -> None:
    """The smoke cases, made as the README says; the test suite does not run itself."""
    first, second, *_ = blocks("console", page=README)
    lines = [words(line) for line in (*first.commands, *second.commands)]
    assert [line[0] for line in lines] == ["gt", "pytest", "ls", "gt"]
    output = ""
    for line in lines:
        if line[0] == "gt":
            done = subprocess.run(gt_command(*line[1:]), cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            output += done.stdout
    (listing,) = re.findall(r"^manifest\.json  .*$", second.text, re.MULTILINE)
    assert {name for name in listing.split() if name != "…"} <= {path.name for path in (tmp_path / "gt").iterdir()}
    assert output.strip() == second.text.strip().splitlines()[-1]
