"""Has LTX-2 read its weights through onto_gpu's buffers: each call loads every part of the model anew."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from . import onto_gpu
from .hooks import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .ltx_values import Official

BATCH = 4 * 2**30  # bytes that are on the GPU beside what the implementation has made of the tensors before
DEVICE = "cuda"  # the kind of device onto which loads are helped


@contextmanager
def helped(official: Official) -> Iterator[None]:
    """While open, the implementation's loader finds each tensor that it asks for on the GPU already.

    It still decides which tensors it reads, and what it makes of them, in its own order.
    """
    module = official("ltx_core.loader.sft_loader")
    loader = module.SafetensorsStateDictLoader
    plain = loader.load

    def load(self: Any, path: Any, sd_ops: Any, device: torch.device | None = None) -> Any:
        if device is None or device.type != DEVICE:
            return plain(self, path, sd_ops, device)

        def opened(path: str, framework: str, device: str) -> _Opened:
            return _Opened(
                path, framework, device, lambda name: sd_ops is None or sd_ops.apply_to_key(name) is not None
            )

        with replaced(module, "safetensors", SimpleNamespace(safe_open=opened)):
            return plain(self, path, sd_ops, device)

    with replaced(loader, "load", load):
        yield


class _Opened:
    """An open file of safetensors; the tensors whose names the `predicate` takes go to the device a batch at a time."""

    def __init__(self, path: str, framework: str, device: str, predicate: Callable[[str], bool]) -> None:
        self._file: Any = safe_open(path, framework=framework)
        self._device, self._predicate = torch.device(device), predicate
        self._there: dict[str, torch.Tensor] = {}

    def __enter__(self) -> _Opened:
        self._file.__enter__()
        self._pending = [name for name in self._file.keys() if self._predicate(name)]  # noqa: SIM118  # it is no mapping
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    def keys(self) -> Any:
        """All names, in the file's order."""
        return self._file.keys()

    def get_tensor(self, name: str) -> torch.Tensor:
        """One tensor; whoever asks for these in order waits once for each batch."""
        if name not in self._there:
            self._there = self._batch(name)
        return self._there.pop(name)

    def _batch(self, first: str) -> dict[str, torch.Tensor]:
        place, size = self._pending.index(first), 0
        tensors: dict[str, torch.Tensor] = {}
        for name in self._pending[place:]:
            tensor = self._file.get_tensor(name)  # mapped: its bytes are read when they are copied
            size += tensor.nbytes
            if tensors and size > BATCH:
                break
            tensors[name] = tensor
        return dict(zip(tensors, onto_gpu.replicas([*tensors.values()], self._device), strict=True))
