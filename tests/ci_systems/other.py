"""Runs the pipelines of other CIs than GitHub's as they stand in their files, with a stand-in for the Dagger CLI."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.ci_systems.stand_in import VERSION, StandIn
from tests.support.interface import CLI, functions

MODULE = "the-module"
CASES = ("smoke_t2i", "smoke_ti2i", "smoke_t2v")
# One text: where it were pasted into a script, some of it would run, or the words would not come out the same.
HOSTILE = """--official=true "; touch {canary}; # $(touch {canary}) `touch {canary}` ' || touch {canary} || '
touch {canary}
'''; touch {canary}; ''' $[[ inputs.tag ]] $HOME ${{HOME}} $$HOME %HOME% \\'; touch {canary} #
"""


@dataclass(frozen=True)
class Machine(StandIn):
    """A machine with a folder that the pipeline runs in."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.work.mkdir()
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
    def unknown(self) -> set[tuple[str, str]]:
        """The calls that the module does not know, by verb and option."""
        called = {(call["verb"], option.partition("=")[0]) for call in self.calls for option in call["options"]}
        known = functions()
        return {(verb, option) for verb, option in called if option not in {*known.get(verb, {}), *CLI}}
