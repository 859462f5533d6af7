"""Evaluates expressions of workflow files with GitHub's own parser and evaluator, as npm has them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "evaluate.mjs")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: the keys that lead to a text of the file, and the contexts that its expressions read."""

    place: Sequence[str]
    contexts: Mapping[str, Any]
    status: str = "success"  # of the jobs that came before


@dataclass(frozen=True)
class Expressions:
    """The evaluator, installed in a folder of its own."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> Expressions:
        """Install the packages that the lock file names. Raises CalledProcessError where that cannot be done."""
        for name in FILES:
            shutil.copy(HERE / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
        return cls(folder)

    def mistakes(self, file: Path) -> list[str]:
        """What GitHub's parser has against a workflow."""
        return list(self._run(file, [])["mistakes"])

    def evaluate(self, file: Path, evaluations: Sequence[Evaluation]) -> list[str]:
        """What each place comes to, as the text that GitHub makes of it."""
        answer = self._run(file, evaluations)
        assert not answer["mistakes"], answer["mistakes"]
        return list(answer["found"])

    def _run(self, file: Path, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
        question = {"file": file.name, "text": file.read_text(), "asked": [vars(each) for each in evaluations]}
        command = ["node", str(self.folder / "evaluate.mjs")]
        done = subprocess.run(
            command, input=json.dumps(question), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
