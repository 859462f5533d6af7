"""The verb that pins what case files leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from typing_extensions import Doc

from ..catalogue.pin import case_files, open_digest, open_revisions, pin
from ..run import recipes, runner
from ..run.dagger_interface import CALL
from .answers import Answer
from .options import OURS, Cases, read_text


@dataclass(frozen=True, kw_only=True)
class Pin:
    """Write the newest commit of each model repository that has no revision into the case files.

    Nothing else in the files changes. `gt` exits with 0 when nothing is open any more, 1 when something is, 2 on bad
    input; the module gives the files that change, to export over the repository with `-o .`, and resolves the digest of
    the base image too.
    """

    cases: Cases = OURS


@dataclass(frozen=True, kw_only=True)
class PinOnMachine(Pin):
    """By the runner as a process."""

    check: Annotated[bool, Doc("Only say what is open, and exit with 1 if something is.")] = False

    def run(self) -> Answer:
        """A line for each value that was open."""
        lines: list[str] = []
        problems: list[str] = []
        for path in case_files(self.cases.path):
            if self.check:
                problems += [f"{path.name}: {spot.what} is open" for spot in open_revisions(read_text(path))]
            else:
                lines += pin(path, open_revisions, partial(_commits, problems))
        if self.cases.path == OURS.path:
            images = read_text(recipes.CONTAINERS / "images.yaml")
            advice = "" if self.check else f"; `{CALL} pin -o .` resolves it"
            problems += [f"images.yaml: {spot.what} is open{advice}" for spot in open_digest(images)]
        return Answer(lines=[*lines, *problems], bad=bool(problems))


def _commits(problems: list[str], repos: list[str]) -> Mapping[str, str]:
    answers = runner.newest(repos)
    problems += [answer["error"] for answer in answers.values() if "error" in answer]
    return {repo: answer["commit"] for repo, answer in answers.items() if "commit" in answer}
