"""Runs the pipelines of other CIs than GitHub's as they stand in their files, with a stand-in for the Dagger CLI."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.artifact import folder as artifact
from tests.conftest import ROOT
from tests.support.interface import CLI, functions
from tests.support.records import manifest, results

MODULE = "the-module"
CASES = ("smoke_t2i", "smoke_ti2i", "smoke_t2v")
VERSION = json.loads((ROOT / "dagger.json").read_text())["engineVersion"]
# One text: where it were pasted into a script, some of it would run, or the words would not come out the same.
HOSTILE = """--official=true "; touch {canary}; # $(touch {canary}) `touch {canary}` ' || touch {canary} || '
touch {canary}
'''; touch {canary}; ''' $[[ inputs.tag ]] $HOME ${{HOME}} $$HOME %HOME% \\'; touch {canary} #
"""


@dataclass(frozen=True)
class Machine:
    """A machine whose `dagger` stands in for the real one, and the folder that the pipeline runs in."""

    folder: Path

    def __post_init__(self) -> None:
        for folder in ("bin", "work", "gt"):
            (self.folder / folder).mkdir(parents=True)
        stand_in = shlex.join([sys.executable, str(ROOT / "tests" / "ci_systems" / "stand_in_dagger.py")])
        self.program("dagger", f'exec {stand_in} "$@"')
        self.gives(dict.fromkeys(CASES, "ok"))

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def canary(self) -> Path:
        """What hostile input would make, if it ran."""
        return self.folder / "canary"

    @property
    def hostile(self) -> str:
        """Input that would make the canary, if any of it ran."""
        return HOSTILE.format(canary=self.canary)

    def program(self, name: str, script: str) -> None:
        """Put a program onto the machine's PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def gives(self, statuses: dict[str, str]) -> None:
        """What `generate` will give."""
        whole = [name for name, status in statuses.items() if status == "ok"]
        artifact.write(self.folder / "gt", manifest(statuses), results(self.folder / "results", *whole))

    def breaks(self, words: str) -> None:
        """Let a call with these words fail."""
        (self.folder / "breaks").write_text(words)

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the working folder."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(self.folder), "GT_DAGGER": str(self.folder), "GT_DAGGER_VERSION": VERSION}
        return subprocess.run(
            command,
            cwd=self.work,
            env={**own, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of the Dagger CLI: verb, options, and the environment."""
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def verbs(self) -> list[str]:
        return [call["verb"] for call in self.calls]

    def options(self, verb: str) -> list[list[str]]:
        """The options of each call of a verb."""
        return [call["options"] for call in self.calls if call["verb"] == verb]

    @property
    def unknown(self) -> set[tuple[str, str]]:
        """The calls that the module does not know, by verb and option."""
        called = {(call["verb"], option.partition("=")[0]) for call in self.calls for option in call["options"]}
        known = functions()
        return {(verb, option) for verb, option in called if option not in {*known.get(verb, {}), *CLI}}
