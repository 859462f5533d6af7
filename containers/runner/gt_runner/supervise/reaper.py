"""Runs one command, and leaves nothing of it running: a serving engine starts servers, which would outlive it.

On Linux a process can adopt the orphans below it, and /proc names its children. Elsewhere only the process group is
ended, by the parent of this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ..errors import SourceError, os_reason

PATIENCE = 3.0  # seconds between asking and killing; less than process.GRACE, after which this process is killed itself
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER in linux/prctl.h


def take_orphans() -> None:
    """From now on, what a child leaves behind becomes this process's; and a SIGTERM raises, so that it can be ended."""
    signal.signal(signal.SIGTERM, _leave)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def run(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> int:
    """The command's exit status, negative if a signal killed it; with it, all that it started has ended.

    Raises SourceError where it cannot be started.
    """
    try:
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise SourceError(f"{command[0]!r} cannot be started: {os_reason(error)}") from error
    try:
        return process.wait()
    finally:
        end_all()


def end_all() -> None:
    """End whatever this process and its children have started."""
    deadline = time.monotonic() + PATIENCE
    warned: set[int] = set()
    while (children := _children()) and time.monotonic() < deadline + PATIENCE:  # one that hangs in a driver stays
        if time.monotonic() > deadline:
            _send(children, signal.SIGKILL)
        else:
            _send(children - warned, signal.SIGTERM)
            warned |= children
        time.sleep(0.02)


def _send(processes: set[int], sign: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, sign)


def _children() -> set[int]:
    """The children that still run. Those of a child that ends become ours, so that all are found in the end."""
    children = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                children.add(int(stat.parent.name))
    return children


def _leave(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
