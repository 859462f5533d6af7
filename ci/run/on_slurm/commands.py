"""Slurm's own commands, and its own words where they refuse."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import SlurmError

ENDED = frozenset(
    ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "PREEMPTED")
)
# Why a task waits that will not start however long it does: what it asks for is beyond its partition or its account.
NEVER = frozenset(
    ("PartitionTimeLimit", "BadConstraints", "InvalidAccount", "InvalidQOS", "AccountNotAllowed", "QOSNotAllowed")
)
WAIT_S = 120  # for an answer: a busy controller takes its time, and the commands try for themselves


@dataclass(frozen=True)
class State:
    """What Slurm says of a task."""

    state: str  # PENDING, RUNNING, one of ENDED, …
    reason: str  # why it waits or ended; None where there is none to say
    node: str

    @property
    def ended(self) -> bool:
        """Whether it will not run again."""
        return self.state in ENDED


def submit(script: str) -> str:
    """Send an array; returns its id. Raises SlurmError with what Slurm has against it."""
    return _said("sbatch", "--parsable", text=script).strip().partition(";")[0]


def states(arrays: Iterable[str]) -> dict[str, State]:
    """What Slurm says of each task of these arrays, as `ARRAY_TASK`; those that it has forgotten are absent.

    Raises SlurmError where it does not answer.
    """
    ids = ",".join(sorted(set(arrays)))
    try:
        lines = _said("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N", f"--jobs={ids}")
    except SlurmError as error:
        if "Invalid job id" in str(error):  # of the only one that was asked for
            return {}
        raise
    rows = (line.split("|") for line in lines.splitlines())
    return {row[0].strip(): State(*(cell.strip() for cell in row[1:4])) for row in rows if len(row) >= 4}  # noqa: PLR2004


def cancel(tasks: Iterable[str]) -> None:
    """End tasks; those that have ended are left alone. Raises SlurmError."""
    _said("scancel", "--quiet", *tasks)


def _said(*command: str, text: str = "") -> str:
    try:  # in a session of its own: Ctrl-C is for the caller, which decides what becomes of the tasks
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=WAIT_S, start_new_session=True
        )
    except FileNotFoundError:
        raise SlurmError(
            f"there is no {command[0]} here; --slurm is for a machine from which Slurm takes jobs"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]} did not answer within {WAIT_S} s; is slurmctld up?") from None
    if done.returncode:
        raise SlurmError((done.stderr or done.stdout).strip() or f"{command[0]} ended with status {done.returncode}")
    return done.stdout
