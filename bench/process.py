"""Runs one command to its end and says what it took of the machine."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ci import ROOT

EVERY_MS = "200"  # between two samples of the GPU; the driver averages over about as long
LOG_LINES = 20


class BenchError(Exception):
    """A measured command failed, so that its figures would mean nothing."""


@dataclass(frozen=True)
class Finished:
    """One command: `started` is a time.time() value, `gpu_busy` the mean share of it that a kernel ran."""

    started: float
    wall_seconds: float
    cpu_seconds: float  # of all its processes
    gpu_busy: float | None  # None where there is no GPU


def run(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Run a command in the project's root; its output goes to `log`. Raises BenchError with the log's end."""
    samples = log.with_suffix(".gpu")
    cards = ["0"] if shutil.which("nvidia-smi") else []
    with log.open("wb") as out, samples.open("wb") as sink, sampler(["utilization.gpu"], cards, sink):
        before, started, since = _cpu_seconds(), time.time(), time.perf_counter()
        status = subprocess.run(
            command, cwd=ROOT, stdout=out, stderr=out, env=environment(env or {}), check=False
        ).returncode
        wall, cpu = time.perf_counter() - since, _cpu_seconds() - before
    if status != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
        raise BenchError(f"{' '.join(command)} ended with {status}:\n{end}")
    return Finished(started, round(wall, 3), round(cpu, 3), _mean(samples))


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's, with the project's root on Python's path.

    Python may keep what it compiled: importing torch and diffusers from source takes three times as long.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "", **more}


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the processes that have ended, and of theirs
    return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def sampler(
    fields: Sequence[str], cards: Sequence[str], out: IO[bytes] | int
) -> Iterator[subprocess.Popen[bytes] | None]:
    """While open, nvidia-smi writes a line with these fields for each of these GPUs a few times a second.

    It is a process beside the measured one: a thread here would stand still whenever this process does.
    """
    if not cards:
        yield None
        return
    query = ["nvidia-smi", "-i", ",".join(cards), f"--query-gpu={','.join(fields)}"]
    query += ["--format=csv,noheader,nounits", "-lms", EVERY_MS]
    process = subprocess.Popen(query, stdout=out, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _mean(samples: Path) -> float | None:
    percent = [int(line) for line in samples.read_text().split() if line.isdigit()]
    return round(sum(percent) / len(percent) / 100, 3) if percent else None
