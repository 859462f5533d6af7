"""What this process runs in: versions, GPU, and the digests that make a result's key."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SHOWN = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "safetensors",
    "tokenizers",
    "numpy",
    "pillow",
    "imageio-ffmpeg",
)

OURS = {"diffusion-gt", "gt-runner"}  # the planner decides nothing of a result, the runner's code has a digest


def digest(value: Any) -> str:
    """The sha256 of a JSON value in its one canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def distributions() -> dict[str, str]:
    """Every installed distribution with its version, but for our own."""
    read = (found.metadata for found in importlib.metadata.distributions())  # parsed anew on each look
    named = sorted((each["Name"].lower(), each["Version"]) for each in read)
    return {name: version for name, version in named if name not in OURS}


@functools.cache
def environment_digest() -> str:
    """Names the Python environment: interpreter, platform and every installed distribution."""
    return digest([platform.python_version(), sys.platform, platform.machine(), distributions()])


@functools.cache
def runner_digest() -> str:
    """Names the runner's code: every source file of this package, but for the judge, which no result depends on."""
    root = Path(__file__).parent
    files = sorted(path for path in root.rglob("*.py") if "judge" not in path.relative_to(root).parts)
    return digest({path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files})


def versions() -> dict[str, str | None]:
    """The versions that a reader of a manifest asks for first; None for what is not installed."""
    named = {name: distributions().get(name) for name in SHOWN}
    return {"python": platform.python_version(), **named, "driver": _driver()}


@functools.cache
def _driver() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    return answer.stdout.splitlines()[0].strip() if answer.returncode == 0 and answer.stdout else None
