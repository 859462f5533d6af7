"""Slurm's commands, with stand-ins for them: what they print, and what a user's own settings must not change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ci.errors import SlurmError
from ci.run.on_slurm import commands
from ci.run.on_slurm.commands import State


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a command that does this, first on the path."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")

    def make(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("12", "12"),
        ("12;cluster", "12"),
        ("Welcome to the cluster\n--> project gt has 7 hours\n12", "12"),
        ("No reservation for this job\n12;c\n", "12"),
    ],
)
def test_the_id_of_an_array_is_found_in_what_sbatch_and_the_sites_own_filters_print(
    stand_in: Any, output: str, name: str
) -> None:
    stand_in("sbatch", f"cat >/dev/null; printf '%s' '{output}'")
    assert commands.submit("#!/bin/sh\n", []) == name


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", "sbatch says no id of a job: it says nothing"),
        ("echo Job 7 to start at noon", "no id of a job: Job 7 to start at noon"),
        (r"printf 'sbatch: error: \303\050 \377\n' >&2; exit 1", "sbatch: error: "),  # not UTF-8
        ("echo refused; exit 3", "^refused$"),
        ("exit 3", "sbatch ended with status 3"),
    ],
)
def test_what_sbatch_says_otherwise_is_told_as_it_is(stand_in: Any, script: str, words: str) -> None:
    stand_in("sbatch", f"cat >/dev/null; {script}")
    with pytest.raises(SlurmError, match=words):
        commands.submit("#!/bin/sh\n", [])


def test_a_command_that_cannot_be_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmError, match="there is no sbatch here"):
        commands.check()
    (tmp_path / "squeue").mkdir()
    with pytest.raises(SlurmError, match="squeue does not start: "):
        commands.states(["1"])


def test_a_users_own_settings_neither_hide_tasks_nor_hold_a_call_up(
    stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"SBATCH_ACCOUNT": "gt", "SBATCH_QOS": "high", "SLURM_CONF": "/slurm.conf"}
    removals = ("SQUEUE_PARTITION", "SQUEUE_USERS", "SCANCEL_INTERACTIVE", "SBATCH_WAIT", "SLURM_RESTART_COUNT")
    for name, value in {**settings, **dict.fromkeys(removals, "1")}.items():
        monkeypatch.setenv(name, value)
    variables = " ".join(f"${{{name}-unset}}" for name in (*settings, *removals))
    stand_in("squeue", f'echo "7_0|RUNNING|None|{variables}"')
    answer = commands.states(["7"])
    assert answer == {"7_0": State("RUNNING", "None", "gt high /slurm.conf unset unset unset unset unset")}


BEYOND = ("PartitionTimeLimit", "QOSMaxGRESPerJob", "AssocMaxWallDurationPerJobLimit", "QOSMinGRES", "InvalidQOS")
NEVER = (*BEYOND, "JobHoldMaxRequeue", "launch failed requeued held")
LATER = ("Priority", "Resources", "QOSMaxJobsPerUserLimit", "AssocGrpGRES", "QOSMaxGRESPerUser", "JobHeldUser", "None")


@pytest.mark.parametrize("reason", [*NEVER, *LATER])
def test_a_task_waits_for_ever_only_where_no_time_helps(reason: str) -> None:
    assert State("PENDING", reason, "").held_for_ever is (reason in NEVER)
    assert not State("RUNNING", reason, "na").held_for_ever
