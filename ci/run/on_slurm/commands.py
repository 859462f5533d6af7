"""Slurm's own commands, and its own words where they refuse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...errors import SlurmError

ENDED = frozenset(
    ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "PREEMPTED")
)
# Why a task waits that will not start however long it does: what it asks for is beyond its partition or its account, or
# Slurm has given up starting it.
NEVER = re.compile(
    r"PartitionTimeLimit|BadConstraints|Invalid(Account|QOS)|(Account|QOS)NotAllowed|(Assoc|QOS)Max\w+PerJob(Limit)?"
    r"|QOSMin\w+|DependencyNeverSatisfied|ReservationDeleted|JobHoldMaxRequeue|JobLaunchFailure"
    r"|launch failed requeued held"
)
# A user's own settings of these commands, which would make squeue look past our tasks, scancel ask, and sbatch wait for
# their end or send them elsewhere; the count is of a job that calls us. Other settings of sbatch are kept.
UNSET = re.compile(r"(SQUEUE|SCANCEL)_.*|SBATCH_(WAIT|CLUSTERS|ERROR)|SLURM_RESTART_COUNT")
ID = re.compile(r"^(\d+)(;.*)?$", re.MULTILINE)
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

    @property
    def held_for_ever(self) -> bool:
        """Whether it waits for nothing that time brings."""
        return self.state == "PENDING" and NEVER.fullmatch(self.reason) is not None


def check() -> None:
    """Raises SlurmError where one of the commands is not on this machine: one that never answers is waited for."""
    for name in ("sbatch", "squeue", "scancel"):
        if shutil.which(name) is None:
            raise SlurmError(f"there is no {name} here; --slurm is for a machine from which Slurm takes jobs")


def submit(script: str, options: Sequence[str]) -> str:
    """Send an array; returns its id. Raises SlurmError with what Slurm has against it.

    The options stand in the script too, where a person reads them; given so, they win over variables such as
    SBATCH_PARTITION.
    """
    output = _output("sbatch", "--parsable", *options, text=script)
    ids: list[tuple[str, str]] = ID.findall(output)  # a site's own filter may print before it
    if not ids:
        raise SlurmError(f"sbatch says no id of a job: {output.strip() or 'it says nothing'}")
    return ids[-1][0]


def states(arrays: Iterable[str]) -> dict[str, State]:
    """What Slurm says of each task of these arrays, as `ARRAY_TASK`; those that it has forgotten are absent.

    Raises SlurmError where it does not answer.
    """
    ids = ",".join(sorted(set(arrays)))
    try:
        lines = _output("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N", f"--jobs={ids}")
    except SlurmError as error:
        if "Invalid job id" in str(error):  # of the only one that was asked for
            return {}
        raise
    rows = (line.split("|") for line in lines.splitlines())
    return {row[0].strip(): State(*(cell.strip() for cell in row[1:4])) for row in rows if len(row) >= 4}  # noqa: PLR2004


def cancel(tasks: Iterable[str]) -> None:
    """End tasks; those that have ended are left alone. Raises SlurmError."""
    _output("scancel", "--quiet", *tasks)


def _output(*command: str, text: str = "") -> str:
    env = {name: value for name, value in os.environ.items() if not UNSET.fullmatch(name)}
    try:  # in a session of its own: Ctrl-C is for the caller, which decides what becomes of the tasks
        answer = subprocess.run(
            command,
            input=text.encode(errors="surrogateescape"),  # paths are bytes
            capture_output=True,
            check=False,
            timeout=WAIT_S,
            start_new_session=True,
            env=env,
        )
    except OSError as error:
        raise SlurmError(f"{command[0]} does not start: {error.strerror}; can this user run it?") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]} did not answer within {WAIT_S} s; is slurmctld up?") from None
    out, words = (each.decode(errors="replace").strip() for each in (answer.stdout, answer.stderr))
    if answer.returncode:
        raise SlurmError(words or out or f"{command[0]} ended with status {answer.returncode}")
    return out
