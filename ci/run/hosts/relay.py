"""Runs a host's call in a container: names its lines, and brings finished cases home while the call goes on.

    python relay.py LABEL BRING KEEP -- COMMAND…

BRING and KEEP are commands as JSON lists. Soon after COMMAND's log holds the event of a finished case, BRING runs with
those cases as one more argument, then KEEP: what a host has finished is not lost with it. It runs in a runner image,
which has the runner's package and not this module's.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from gt_runner.events import marked

PAUSE_S = 15.0  # between two times: each loads the module on the host
LIMIT_S = 120.0  # for one command: whoever started this call finds out that a host hangs


class Bringer:
    """Brings finished cases home, in the background; `show` gets a line about each time."""

    def __init__(
        self, show: Callable[[str], None], bring: Sequence[str], keep: Sequence[str], pause: float = PAUSE_S
    ) -> None:
        self._show, self._bring, self._keep, self._pause = show, bring, keep, pause
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def add(self, case: str) -> None:
        """A case is finished."""
        self._finished.put(case)

    def _work(self) -> None:
        while True:
            cases = [self._finished.get()]
            while not self._finished.empty():
                cases.append(self._finished.get())
            with suppress(subprocess.SubprocessError):  # the call itself brings everything at its end
                _quietly([*self._bring, ",".join(cases)])
                _quietly(self._keep)
                self._show(f"{', '.join(cases)}: kept here\n")
            time.sleep(self._pause)


def _quietly(command: Sequence[str]) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=True)


def relay(show: Callable[[str], None], bringer: Bringer, command: Sequence[str]) -> int:
    """Run a command and show its lines, less those that are for programs; returns its exit status."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert process.stdout is not None  # noqa: S101  # for the type checker
    for line in process.stdout:
        event = marked(line)
        if event is None:
            show(line)
        elif event["event"] == "done":
            bringer.add(event["case"])
    return process.wait()


def main(label: str, bring: str, keep: str, command: Sequence[str]) -> int:
    """Run a command, the label in front of each line."""

    def show(line: str) -> None:
        print(f"[{label}] {line}", end="", flush=True)  # noqa: T201  # the lines are the output

    return relay(show, Bringer(show, json.loads(bring), json.loads(keep)), command)


if __name__ == "__main__":
    _, label_argument, bring_argument, keep_argument, _, *command_arguments = sys.argv
    sys.exit(main(label_argument, bring_argument, keep_argument, command_arguments))
