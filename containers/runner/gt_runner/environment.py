"""The environment of this process: versions, GPU, and the digests that make a result's key."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .contract import Case
from .errors import SourceError

LIBRARIES = ["torch", "diffusers", "transformers", "accelerate", "safetensors", "tokenizers"]
SHOWN = [*LIBRARIES, "numpy", "pillow", "imageio-ffmpeg"]

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
OURS = {"diffusion-gt", "gt-runner"}  # the planner decides nothing of a result, the runner's code has a digest


def digest(value: Any) -> str:
    """The sha256 of a JSON value in its one canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def distributions() -> dict[str, str]:
    """Every installed distribution with its version, but for our own."""
    metadata = [distribution.metadata for distribution in importlib.metadata.distributions()]  # each access parses it
    versions = sorted((each["Name"].lower(), each["Version"]) for each in metadata)
    return {name: version for name, version in versions if name not in OURS}


@functools.cache
def environment_digest() -> str:
    """Names the Python environment: interpreter, platform and every installed distribution."""
    return digest([platform.python_version(), sys.platform, platform.machine(), distributions()])


@functools.cache
def runner_digest() -> str:
    """Names our code that decides a result: the files that match a pattern of `result_code.txt`."""
    root = Path(__file__).parents[1]
    patterns = (root / "gt_runner" / "result_code.txt").read_text(encoding="utf-8").split()
    files = sorted(path for pattern in patterns for path in root.glob(pattern))
    return digest({path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files})


def versions() -> dict[str, str | None]:
    """The versions that a reader of a manifest asks for first; None for what is not installed."""
    installed = {name: distributions().get(name) for name in SHOWN}
    return {"python": platform.python_version(), **installed, "driver": _driver()}


@dataclass(frozen=True)
class Environment:
    """What ran a case."""

    digest: str
    versions: Mapping[str, str | None]


def of(case: Case) -> Environment:
    """The environment that a case runs in. Raises SourceError where that of a serving engine does not answer."""
    return _of_serving() if "engine" in case else Environment(environment_digest(), versions())


@functools.cache
def _of_serving() -> Environment:
    """That of the `python` that a serving engine's command finds first; in an image, it is also ours."""
    python = shutil.which("python")
    if python is None or Path(python).parent == Path(sys.executable).parent:
        return Environment(environment_digest(), versions())
    command = [python, "-m", __package__, "environment"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    answer = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if answer.returncode:
        last = answer.stderr.strip().splitlines()[-1:] or [f"exit status {answer.returncode}"]
        raise SourceError(f"the serving engine's `python`, the first on PATH, does not start our package: {last[0]}")
    report = json.loads(answer.stdout)
    return Environment(report["environment"], report["versions"])


@functools.cache
def _driver() -> str | None:
    return next(iter(nvidia_smi("driver_version")), None)


def gpu() -> tuple[str | None, int | None, int | None]:
    """Name and memory in bytes of the first visible GPU, from the driver: torch would take memory on it."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    lines = nvidia_smi("name,memory.total", *(["-i", first] if first else []))
    if not lines:
        return None, None, None
    name, _, mebibytes = lines[0].rpartition(",")
    return name.strip(), int(mebibytes) * 2**20, None  # nvidia-smi does not count multiprocessors


def memory() -> int:
    """Bytes of memory that this process may use."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no such file, or `max`
        size = min(size, int(CGROUP_LIMIT.read_text()))
    return size


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # not Linux


def available_memory() -> float:
    """Bytes of memory that nobody uses, the page cache counted as free; infinity where the system does not say."""
    with contextlib.suppress(OSError, ValueError, StopIteration):  # not Linux
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    return math.inf


def nvidia_smi(fields: str, *selection: str, apps: bool = False) -> list[str]:
    """A line for each GPU, or for each process that computes on one; none where there is no driver that answers."""
    if shutil.which("nvidia-smi") is None:
        return []
    about = "compute-apps" if apps else "gpu"
    query = ["nvidia-smi", f"--query-{about}={fields}", "--format=csv,noheader,nounits", *selection]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return []
    return [line.strip() for line in answer.stdout.splitlines()] if answer.returncode == 0 else []
