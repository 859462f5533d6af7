"""What a worker can do before it has a task: imports take seconds, and so do a GPU's context and first kernels."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import sys
import threading
from typing import Any

from ..errors import RunnerError
from ..sources import implementation


def prepare(source: str, pipeline: str, *, on_gpu: bool) -> None:
    """Import a source and the pipeline that it will run, while the weights are still on their way.

    A cold import of torch and diffusers costs 17 s. `on_gpu`: meanwhile make the first GPU's context, and once a source
    has imported torch, load what every model needs; both are done beside the imports, which leave the GPU idle.
    """
    beside = [threading.Thread(target=_make_context, daemon=True)] if on_gpu else []
    for thread in beside:
        thread.start()
    with contextlib.suppress(ImportError, RunnerError, AttributeError, RuntimeError):  # loading says what is missing
        code = implementation(source)
        if on_gpu and (torch := sys.modules.get("torch")):
            beside.append(threading.Thread(target=_load_kernels, args=(torch,), daemon=True))
            beside[-1].start()
        getattr(code, "import_pipeline", lambda _: None)(pipeline)
    for thread in beside:
        thread.join()


def _make_context() -> None:
    """Make the first GPU's context; torch uses the same one, the device's primary."""
    device, context = ctypes.c_int(), ctypes.c_void_p()
    with contextlib.suppress(OSError):  # no driver: the first case says so
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(device), 0) == 0:
            driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)


def _load_kernels(torch: Any) -> None:
    """Have torch load its kernels and cuBLAS, and make the buffers of loading. Draws nothing, keeps no GPU memory."""
    with contextlib.suppress(RuntimeError, AssertionError):  # no GPU, or no memory on it: the first case says so
        some = torch.ones(64, 64, dtype=torch.bfloat16, device="cuda")
        (some @ some).sum().item()
        importlib.import_module("..sources.onto_gpu", __package__).make_buffers()
