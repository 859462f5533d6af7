"""What the worker does with torch, where a case's source has imported it: other sources need not wait for it."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np


def _torch() -> Any:
    return sys.modules.get("torch")


def fix_threads() -> None:
    """One thread on a CPU: results there depend on the number of threads."""
    if torch := _torch():
        torch.set_num_threads(1)


def reset_gpu() -> None:
    """Free the memory of an earlier model, and reset the measured peak."""
    if torch := _torch():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def wait_for_gpu() -> None:
    """Wait until all queued work has run."""
    if torch := _torch():
        torch.cuda.synchronize()


def peak_gpu_bytes() -> int | None:
    """The most memory that torch has held on the GPU since the last reset."""
    torch = _torch()
    return int(torch.cuda.max_memory_allocated()) if torch else None


def gpu() -> tuple[str | None, int | None, int | None]:
    """Name, memory in bytes and multiprocessors of the GPU, as torch says."""
    torch = _torch()
    if not torch:
        return None, None, None
    properties = torch.cuda.get_device_properties(0)
    return properties.name, properties.total_memory, properties.multi_processor_count


def cuda_version() -> str | None:
    """The CUDA that torch was built with."""
    torch = _torch()
    return torch.version.cuda if torch else None


def seed_everything(seed: int) -> None:
    """Seed the global generators, so that noise from outside of the case's own generator is the same each time."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # the legacy global generator is the one that pipelines may use
    if torch := _torch():
        torch.manual_seed(seed)


def global_generators() -> dict[str, list[bytes]]:
    """The states of the global generators, to see which of them a case advances."""
    _, keys, position, *_ = np.random.get_state()
    states = {
        "python": [repr(random.getstate()).encode()],
        "numpy": [np.asarray(keys).tobytes(), str(position).encode()],
    }
    if torch := _torch():
        states["torch"] = [torch.get_rng_state().numpy().tobytes()]
        if torch.cuda.is_initialized():
            states["torch.cuda"] = [torch.cuda.get_rng_state().numpy().tobytes()]
    return states
