"""The record of a case: enough to make the same files again, and no path or secret of this machine."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gt_pictures.reading import read

from .. import environment
from ..contract import Case, Job, Prepared
from ..errors import SourceError
from . import torch_state

Record = dict[str, Any]
STARTED = datetime.now(UTC).isoformat(timespec="milliseconds")
PROCESS = uuid.uuid4().hex  # a process id does not identify a process in a container, where it is always the same


def finished(prepared: Prepared, passed: Mapping[str, Any], dropped: Sequence[str], files: Sequence[Path]) -> Record:
    """The record of a finished case, less what only its worker knows (its seconds, pipeline, isolation).

    `passed` are the arguments that reached the implementation, `dropped` those of the case that it does not take.
    """
    case, fetched = prepared["case"], prepared["fetched"]
    environs = environment.of(case)
    return {
        "status": "ok",
        "key": prepared["key"],
        "source": case["source"],
        "case": {name: value for name, value in case.items() if name != "base"},
        "weights": [
            {name: repository.get(name) for name in ("repo", "commit", "digest", "bytes")}
            for repository in fetched["repositories"].values()
        ],
        "code": _code(case, fetched["code_identity"]),
        "inputs": [
            {
                **{name: text for name, text in entry.items() if name in ("url", "path")},
                **{name: value for name, value in file.items() if name in ("sha256", "normalised")},
            }
            for entry, file in zip(case.get("inputs", []), fetched["inputs"], strict=True)
        ],
        "passed": dict(passed),
        "dropped": list(dropped),
        "seed": case["call"]["seed"] if "call" in case else None,
        "dtype": case["runtime"]["dtype"] if "runtime" in case else None,
        "runner": environment.runner_digest(),
        "environment": environs.digest,
        "versions": {**environs.versions, "cuda": torch_state.cuda_version()},
        "files": [_file(path) for path in files],
    }


def _code(case: Case, identity: str | None) -> Record | None:
    if identity is None:
        return None
    if "engine" in case:
        commit = identity.removeprefix("commit:") if identity.startswith("commit:") else None
        return {"repo": case["engine"]["repo"], "commit": commit, "identity": identity}
    return {"repo": case["code"]["repo"], "commit": case["code"]["commit"], "identity": identity}


def _file(path: Path) -> Record:
    width, height = read(path).size
    data = path.read_bytes()
    return {
        "name": path.name,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": width,
        "height": height,
    }


def process(nonce: str | None) -> Record:
    """Identifies the process, so that a result from the store can be told from a new one."""
    return {"id": PROCESS, "started": STARTED, "nonce": nonce}


def gpu(job: Job, query: Callable[[], tuple[str | None, int | None, int | None]]) -> Record:
    """The kind that ran the case, and the GPU's name, bytes and multiprocessors as `query` gives them.

    Raises SourceError where that is another card than the one that the result's key names.
    """
    name, memory, multiprocessors = query() if job["device"] == "cuda" else (None, None, None)
    card = job.get("card")
    if card is not None:
        counts = card["multiprocessors"], multiprocessors
        if name != card["name"] or (None not in counts and len(set(counts)) > 1):
            raise SourceError(
                f"the case was planned for {card['name']} with {counts[0]} multiprocessors, and ran on {name} with "
                f"{counts[1]}; start it again, or restrict CUDA_VISIBLE_DEVICES to cards of one kind"
            )
        multiprocessors = multiprocessors or card["multiprocessors"]
    return {"kind": job["gpu_kind"], "name": name, "memory_bytes": memory, "multiprocessors": multiprocessors}


def peak_memory(gpu_bytes: int | None, who: int = resource.RUSAGE_SELF) -> Record:
    """Bytes: the most that this process has held so far (or one of its ended children), and the most on the GPU."""
    unit = 1 if sys.platform == "darwin" else 1024
    return {"host_bytes": resource.getrusage(who).ru_maxrss * unit, "gpu_bytes": gpu_bytes}


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
