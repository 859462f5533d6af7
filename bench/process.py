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
    with log.open("wb") as out, _gpu_samples(log.with_suffix(".gpu")) as samples:
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
def _gpu_samples(file: Path) -> Iterator[Path]:
    """A process beside the measured one: sampling from a thread here would stand still whenever this process does."""
    if shutil.which("nvidia-smi") is None:
        yield file
        return
    query = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", EVERY_MS]
    with file.open("wb") as out:
        sampler = subprocess.Popen(query, stdout=out, stderr=subprocess.DEVNULL)
    try:
        yield file
    finally:
        sampler.terminate()
        sampler.wait()


def _mean(samples: Path) -> float | None:
    if not samples.is_file():
        return None
    percent = [int(line) for line in samples.read_text().split() if line.isdigit()]
    return round(sum(percent) / len(percent) / 100, 3) if percent else None
