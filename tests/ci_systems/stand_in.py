"""A machine on whose PATH a stand-in for the Dagger CLI is, and what that was called with."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.artifact import folder as artifact
from tests.conftest import ROOT
from tests.support.records import manifest, results

VERSION = json.loads((ROOT / "dagger.json").read_text())["engineVersion"]


@dataclass(frozen=True)
class StandIn:
    """The machine. `GT_DAGGER` names its folder to the stand-in."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir(parents=True)
        stand_in = shlex.join([sys.executable, str(ROOT / "tests" / "ci_systems" / "stand_in_dagger.py")])
        self.program("dagger", f'exec {stand_in} "$@"')

    def program(self, name: str, script: str) -> None:
        """Put a program onto the machine's PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def gives(self, statuses: dict[str, str]) -> None:
        """Set what `generate` will give: a status for each case."""
        shutil.rmtree(self.folder / "gt", ignore_errors=True)
        whole = [name for name, status in statuses.items() if status == "ok"]
        artifact.write(self.folder / "gt", manifest(statuses), results(self.folder / "results", *whole))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of the Dagger CLI: verb, options, and the environment."""
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def verbs(self) -> list[str]:
        """The verbs of the calls, in order."""
        return [call["verb"] for call in self.calls]

    def options(self, verb: str) -> list[list[str]]:
        """The options of each call of a verb."""
        return [call["options"] for call in self.calls if call["verb"] == verb]
