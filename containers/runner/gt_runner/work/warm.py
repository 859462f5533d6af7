"""What a worker can do before it has a task: imports take seconds, and so do a GPU's context and first kernels."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.metadata
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..errors import RunnerError
from ..sources import implementation

POLL_S = 0.05  # between two looks whether torch is being imported


def prepare(source: str, pipeline: str, may_use_gpu: Callable[[], bool]) -> None:
    """Import a source and the pipeline that it will run, while the weights are still on their way.

    A cold import of torch and diffusers costs 17 s. Beside it, once `may_use_gpu` has returned true: make the first
    GPU's context, and when the source has imported torch, load what every model needs.
    """
    imported = threading.Event()
    beside = threading.Thread(target=_use_gpu, args=(may_use_gpu, imported), daemon=True)
    beside.start()
    gc.disable()  # it walks all that is imported again and again, finds nothing, and takes a quarter of the time
    # diffusers and transformers both call it, 0.9 s each time where 250 packages are installed
    importlib.metadata.packages_distributions = functools.cache(importlib.metadata.packages_distributions)
    with contextlib.suppress(ImportError, RunnerError, AttributeError, RuntimeError):  # loading says what is missing
        getattr(implementation(source), "import_pipeline", lambda _: None)(pipeline)
    gc.freeze()
    gc.enable()
    imported.set()
    beside.join()


def _use_gpu(may_use_gpu: Callable[[], bool], imported: threading.Event) -> None:
    if not may_use_gpu():
        return
    _make_context()
    while "torch" not in sys.modules and not imported.wait(POLL_S):
        pass
    if "torch" in sys.modules:  # a source that does without it need not wait for it
        _load_kernels(importlib.import_module("torch"))  # which waits until its import is over


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
