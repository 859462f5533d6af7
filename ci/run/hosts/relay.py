"""Shows what the cases of a host's call do, and brings finished ones home while the call goes on.

    python relay.py LABEL BRING COMMAND…

BRING is a command of the shell that gets cases as $1. It runs soon after COMMAND's log holds the event of a finished
case: what a host has finished is not lost with it, and the call itself brings everything at its end. A person sees the
runner's events, as spans behind the label, and where COMMAND fails the end of its log: a call has a thousand lines and
spans about itself. This runs in a runner image, which has the runner's package and not this module's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from gt_runner.events import marked
from gt_runner.supervise.spans import Spans

if TYPE_CHECKING:
    from gt_runner.events import Event

PAUSE_S = 15.0  # from one time to the next: each loads the module on the host
LAST = 100  # lines of the log of a call that failed: its error, and what led to it
TRACING = ("OTEL_", "TRACEPARENT")  # variables with which a call would send all of its own spans here


class Bringer:
    """Brings finished cases home, one time after another, beside the call."""

    def __init__(self, spans: Spans, bring: str) -> None:
        self._spans, self._bring = spans, bring
        self._queue: list[str] = []
        self._bringing: tuple[str, subprocess.Popen[bytes]] | None = None
        self._rest_until = 0.0

    def add(self, case: str) -> None:
        """A case is finished."""
        self._queue.append(case)

    def look(self) -> None:
        """Say what is home, and begin with what is finished, if it is time."""
        if self._bringing is not None:
            cases, process = self._bringing
            if process.poll() is None:
                return
            if process.returncode == 0:
                self._spans.note(f"{cases.replace(',', ', ')}: kept here")
            self._bringing = None
        if self._queue and time.monotonic() >= self._rest_until:
            cases, self._queue = ",".join(self._queue), []
            process = subprocess.Popen(["sh", "-c", self._bring, "sh", cases], stdin=subprocess.DEVNULL)
            self._bringing, self._rest_until = (cases, process), time.monotonic() + PAUSE_S


def relay(label: str, bring: str, command: Sequence[str]) -> int:
    """Run a command, and show the end of its log where it fails; returns its exit status."""
    spans, tail = Spans(f"[{label}] "), deque[str](maxlen=LAST)
    bringer = Bringer(spans, bring)
    env = {name: value for name, value in os.environ.items() if not name.startswith(TRACING)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env
    )
    for line in process.stdout or ():
        event = marked(line)
        if event is None:
            tail.append(line)
        else:
            spans.show(cast("Event", event))
            if event["event"] == "done":
                bringer.add(event["case"])
        bringer.look()
    status = process.wait()
    for line in tail if status else ():
        print(f"[{label}] {line}", end="", flush=True)  # noqa: T201  # the lines are the output
    return status


if __name__ == "__main__":
    sys.exit(relay(sys.argv[1], sys.argv[2], sys.argv[3:]))
