"""What is written down of a case: enough to make the same files again, and no path or secret of this machine."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from . import environment, torch_state
from .job import Case, Fetched
from .sources import Generated

STARTED = datetime.now(UTC).isoformat(timespec="milliseconds")
PROCESS = uuid.uuid4().hex  # a process id says nothing in a container, where it is always the same


def finished(case: Case, key: str, fetched: Fetched, made: Generated, files: Sequence[Path]) -> dict[str, Any]:
    """The record of a finished case, less what only the worker knows (its seconds, pipeline, isolation)."""
    runtime, call = case["runtime"], case["call"]
    return {
        "status": "ok",
        "key": key,
        "source": case["source"],
        "case": {name: value for name, value in case.items() if name != "base"},
        "weights": [
            {name: found.get(name) for name in ("repo", "commit", "digest", "bytes")}
            for found in fetched["repositories"].values()
        ],
        "code": _code(case, fetched),
        "inputs": [
            {**{name: given[name] for name in ("url", "path") if name in given}, "sha256": found["sha256"]}
            for given, found in zip(case.get("inputs", []), fetched["inputs"], strict=True)
        ],
        "passed": made.passed,
        "dropped": made.dropped,
        "seed": call["seed"],
        "dtype": runtime["dtype"],
        "runner": environment.runner_digest(),
        "environment": environment.environment_digest(),
        "versions": {**environment.versions(), "cuda": torch_state.cuda_version()},
        "files": [_file(path) for path in files],
    }


def _code(case: Case, fetched: Fetched) -> dict[str, Any] | None:
    if "code" not in case:
        return None
    return {"repo": case["code"]["repo"], "commit": case["code"]["commit"], "identity": fetched["code_identity"]}


def _file(path: Path) -> dict[str, Any]:
    with Image.open(path) as image:
        width, height = image.size
    data = path.read_bytes()
    return {
        "name": path.name,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": width,
        "height": height,
    }


def process(nonce: str | None) -> dict[str, Any]:
    """Tells a run from the memory of one."""
    return {"id": PROCESS, "started": STARTED, "nonce": nonce}


def gpu(device: str, kind: str) -> dict[str, Any]:
    """The kind that ran the case, and what torch says of the GPU."""
    if device != "cuda":
        return {"kind": kind, "name": None, "memory_bytes": None}
    name, memory = torch_state.gpu()
    return {"kind": kind, "name": name, "memory_bytes": memory}


def peak_memory(device: str) -> dict[str, int | None]:
    """Bytes: the most that this process has held so far, and the most on the GPU since the last reset."""
    unit = 1 if sys.platform == "darwin" else 1024
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"host_bytes": host, "gpu_bytes": torch_state.peak_gpu_bytes() if device == "cuda" else None}


class Clock:
    """Seconds of each phase, to the millisecond."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, phase: str) -> float:
        """End a phase; returns its seconds."""
        now = time.perf_counter()
        self.seconds[phase] = round(now - self._since, 3)
        self._since = now
        return self.seconds[phase]
