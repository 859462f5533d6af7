"""Runs a host's call in a container: names its lines, and brings finished cases home while the call goes on.

    python relay.py LABEL BRING KEEP -- COMMAND…

BRING and KEEP are commands as JSON lists. Soon after COMMAND says that cases are finished, BRING runs with those cases
as one more argument, then KEEP: what a host has finished does not die with it. Standard library alone, since it runs in
a runner image, where this module's packages are not.
"""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

FINISHED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*): ok in [0-9.]+ s\s*$")  # what the runner says of a case
PAUSE_S = 15.0  # between two times: each loads the module on the host
LIMIT_S = 120.0  # for one command: a host that hangs is the caller's to find out


class Bringer:
    """Brings the cases of which it is told, in the background."""

    def __init__(
        self, say: Callable[[str], None], bring: Sequence[str], keep: Sequence[str], pause: float = PAUSE_S
    ) -> None:
        self._say, self._bring, self._keep, self._pause = say, bring, keep, pause
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def tell(self, case: str) -> None:
        """A case is finished."""
        self._told.put(case)

    def _work(self) -> None:
        while True:
            cases = [self._told.get()]
            while not self._told.empty():
                cases.append(self._told.get())
            with suppress(subprocess.SubprocessError):  # the call itself brings everything at its end
                _quietly([*self._bring, ",".join(cases)])
                _quietly(self._keep)
                self._say(f"{', '.join(cases)}: kept here\n")
            time.sleep(self._pause)


def _quietly(command: Sequence[str]) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=True)


def relay(say: Callable[[str], None], bringer: Bringer, command: Sequence[str]) -> int:
    """Run a command and say its lines; returns its exit status."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert process.stdout is not None  # noqa: S101  # for the type checker
    for line in process.stdout:
        say(line)
        finished = FINISHED.search(line)
        if finished:
            bringer.tell(finished[1])
    return process.wait()


def main(label: str, bring: str, keep: str, command: Sequence[str]) -> int:
    """Run a command, the label in front of each line."""

    def say(line: str) -> None:
        print(f"[{label}] {line}", end="", flush=True)  # noqa: T201  # the lines are the output

    return relay(say, Bringer(say, json.loads(bring), json.loads(keep)), command)


if __name__ == "__main__":
    _, named, to_bring, to_keep, _, *wanted = sys.argv
    sys.exit(main(named, to_bring, to_keep, wanted))
