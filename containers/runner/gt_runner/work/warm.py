"""What a worker can do before it has a task: imports take seconds, and so do a GPU's context and first kernels."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from typing import Any

from ..errors import RunnerError
from ..sources import implementation


def import_source(name: str) -> None:
    """Import a source while its weights are still on their way: a cold import of torch and diffusers costs 17 s."""
    with contextlib.suppress(ImportError, RunnerError):  # loading the first case says what is missing
        implementation(name)


def make_context() -> None:
    """Make the first GPU's context, in a thread beside the imports; torch uses the same one, the device's primary."""
    threading.Thread(target=_make_context, daemon=True).start()


def _make_context() -> None:
    device, context = ctypes.c_int(), ctypes.c_void_p()
    with contextlib.suppress(OSError):  # no driver: the first case says so
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(device), 0) == 0:
            driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)


def load_kernels() -> None:
    """Have torch load what every model needs: its own kernels and cuBLAS. Draws nothing, and keeps nothing."""
    torch: Any = sys.modules.get("torch")
    with contextlib.suppress(RuntimeError, AttributeError):  # no GPU, or no memory on it: the first case says so
        some = torch.ones(64, 64, dtype=torch.bfloat16, device="cuda")
        (some @ some).sum().item()
