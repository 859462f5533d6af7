"""What Dagger 1.0 writes another way stands in one place, and once in each file that cannot import it."""

from __future__ import annotations

import re
from pathlib import Path

from ci.run.dagger_interface import CALL
from tests.conftest import ROOT

FOLDERS = (".ci", ".github", "bench", "cases", "ci", "containers", "deploy", "examples", "templates")
HOME = "ci/run/dagger_interface.py"
# Of the command line, and of the SDK.
SPELLED = re.compile(
    r"\bdagger (?:--?[\w=-]+ )*(?:call|core|functions|query|api)\b"
    r"|\b(?:DefaultPath|Ignore)\b|\.commit\(\)|\bcommit_sha\b|\bdagger\.\w+ID\b"
)
# Files that other programs than ours read, and the step of .ci/run that looks for an engine.
ONCE = {
    ".ci/run": "dagger core",
    ".github/call-module": CALL,
    ".github/workflows/ci.yml": CALL,
    ".github/workflows/nightly.yml": CALL,
    "ci/plan/gitlab.yml": CALL,
    "examples/buildkite/pipeline.yml": CALL,
    "examples/jenkins/Jenkinsfile": CALL,
    "examples/shell/gt.sh": CALL,
    "templates/gt.yml": CALL,
}


def spelled(path: Path) -> list[str]:
    """What a file spells of it, comments aside."""
    text = path.read_text(errors="replace")
    return SPELLED.findall("\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))


def test_no_other_file_of_ours_spells_what_changes_with_dagger() -> None:
    files = [ROOT / "action.yml", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    texts = [path for path in files if path.is_file() and path.suffix not in (".md", ".pyc")]
    spellings = {path.relative_to(ROOT).as_posix(): spelled(path) for path in texts}
    assert spellings.pop(HOME)
    assert {name: words for name, words in spellings.items() if words} == {name: [word] for name, word in ONCE.items()}


def test_a_spelling_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for line in (
        'run: dagger --progress=plain call -m "$MODULE" matrix',
        "dagger api call",
        "marks = [DefaultPath(path)]",
        "await dag.git(url).ref(name).commit()",
    ):
        file.write_text(line)
        assert spelled(file), line
    file.write_text('# `dagger call` calls\ncall matrix "$@"')
    assert not spelled(file)
