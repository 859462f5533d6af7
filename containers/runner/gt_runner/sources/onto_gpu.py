"""Copies a model's weights onto the GPU by several threads, each through a pinned buffer on a stream of its own.

`Module.to` copies one tensor after the other out of pageable memory, at a fraction of the bus's rate. The bytes are the
same: nothing is converted here, and what is no plain tensor on the CPU is left for `Module.to`, which follows.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import nn

THREADS = 16  # fewer do not fill the bus: on an H100, 33.7 GB took 1.8 s with 4, 1.2 s with 8, 1.05 s with 16
CHUNK = 64 * 2**20  # bytes of a pinned buffer; a thread copies one such piece at a time

_MODULE_TO = nn.Module.to


def make_buffers() -> None:
    """Pin the memory of the buffers now, which takes as long as copying 15 GB; torch keeps it for the next load."""
    buffers = [torch.empty(CHUNK, dtype=torch.uint8, pin_memory=True) for _ in range(THREADS)]
    del buffers


def place(models: Iterable[Any], device: torch.device) -> None:
    """Move the parameters and buffers of whatever is a module onto `device`; what is tied stays tied."""
    modules = [module for model in models if isinstance(model, nn.Module) for module in model.modules()]
    owned = [(module, name, each) for module in modules for name, each in _own(module) if _plain(each)]
    tensors = {id(tensor): tensor for _, _, tensor in owned}
    copies = dict(zip(tensors, replicas([*tensors.values()], device), strict=True))
    for module, name, tensor in owned:
        if not isinstance(tensor, nn.Parameter):
            setattr(module, name, copies[id(tensor)])
    for place, tensor in tensors.items():
        if isinstance(tensor, nn.Parameter):
            tensor.data = copies[place]  # as `Module.to` does: the parameter stays the object that others refer to


def to(module: nn.Module, *args: Any, **options: Any) -> Any:
    """In place of `Module.to`, for an implementation that calls it by itself."""
    device = options.get("device", next(iter(args), None))
    if isinstance(device, str | torch.device) and torch.device(device).type == "cuda":
        place([module], torch.device(device))
    return _MODULE_TO(module, *args, **options)


def _own(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(recurse=False, remove_duplicate=False)
    yield from module.named_buffers(recurse=False, remove_duplicate=False)


def _plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is its bytes and no more, in memory without gaps, which a copy of these bytes reproduces."""
    return (
        type(tensor) in (torch.Tensor, nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
        and tensor.numel() > 0
        and _dense(tensor)
    )


def _dense(tensor: torch.Tensor) -> bool:
    """Whether its elements lie in memory without gaps and without sharing a place, in whatever order."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride != expected:
                return False
            expected *= size
    return True


def replicas(tensors: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    """A copy of each dense CPU tensor on `device`, with the same strides and bytes."""
    copies = [
        torch.empty_like(tensor, device=device) for tensor in tensors
    ]  # here, for the memory of this thread's stream
    pieces: queue.SimpleQueue[tuple[torch.Tensor, torch.Tensor]] = queue.SimpleQueue()
    pairs = sorted(zip(tensors, copies, strict=True), key=lambda pair: -pair[0].nbytes)
    for source, target in ((_bytes(tensor), _bytes(copy)) for tensor, copy in pairs):
        for start in range(0, source.nbytes, CHUNK):
            pieces.put((source[start : start + CHUNK], target[start : start + CHUNK]))
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # memory that is used again may still be read by what was queued before
    size = min(CHUNK, max((tensor.nbytes for tensor in tensors), default=0))
    inference = torch.is_inference_mode_enabled()  # a thread does not inherit it, and an implementation may load in it
    with ThreadPoolExecutor(THREADS) as pool:
        lanes = [pool.submit(_copy, pieces, device, size, inference) for _ in range(min(THREADS, pieces.qsize()))]
    for lane in lanes:
        lane.result()
    return copies


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The memory of a dense tensor, as bytes in the order in which they lie."""
    start = tensor.storage_offset() * tensor.element_size()
    memory = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    return memory.set_(tensor.untyped_storage(), start, (tensor.nbytes,), (1,))


def _copy(
    pieces: queue.SimpleQueue[tuple[torch.Tensor, torch.Tensor]], device: torch.device, size: int, inference: bool
) -> None:
    """One thread: piece by piece through one buffer. numpy copies without the interpreter's lock, and on one core."""
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    with torch.inference_mode(inference), torch.cuda.stream(stream):
        buffer = torch.empty(size, dtype=torch.uint8, pin_memory=stream is not None)
        while True:
            try:
                source, target = pieces.get_nowait()
            except queue.Empty:
                return
            piece = buffer[: source.nbytes]
            np.copyto(piece.numpy(), source.numpy())
            target.copy_(piece, non_blocking=True)
            if stream is not None:
                stream.synchronize()  # the buffer is free again, and the piece is there
