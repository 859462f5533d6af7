"""Shows a host's call under a label, and brings finished cases home while the call goes on.

    python relay.py LABEL BRING COMMAND…

BRING is a command of the shell that gets cases as $1. It runs soon after COMMAND's log holds the event of a finished
case: what a host has finished is not lost with it, and the call itself brings everything at its end. This runs in a
runner image, which has the runner's package and not this module's.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from gt_runner.events import marked

PAUSE_S = 15.0  # from one time to the next: each loads the module on the host


def relay(label: str, bring: str, command: Sequence[str]) -> int:
    """Run a command and show its lines, less those that are for programs; returns its exit status."""
    finished: list[str] = []
    bringing, rest_until = None, 0.0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    for line in process.stdout or ():
        event = marked(line)
        if event is None:
            print(f"[{label}] {line}", end="", flush=True)  # noqa: T201  # the lines are the output
        elif event["event"] == "done":
            finished.append(event["case"])
        idle = bringing is None or bringing.poll() is not None
        if finished and idle and time.monotonic() >= rest_until:
            bringing = subprocess.Popen(["sh", "-c", bring, "sh", ",".join(finished)], stdin=subprocess.DEVNULL)
            finished, rest_until = [], time.monotonic() + PAUSE_S
    return process.wait()


if __name__ == "__main__":
    sys.exit(relay(sys.argv[1], sys.argv[2], sys.argv[3:]))
