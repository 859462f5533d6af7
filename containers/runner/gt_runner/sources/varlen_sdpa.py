"""PyTorch's SDPA in the place of the variable-length kernels of the flash_attn package."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from torch import Tensor

HALF = (torch.float16, torch.bfloat16)


@contextmanager
def in_place_of(official: Any, package: str) -> Iterator[None]:
    """While open, every module of `package` that calls `official` (its `flash_attention`) calls SDPA instead."""
    homes = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == package]
    homes = [module for module in homes if vars(module).get("flash_attention") is official]
    _point(homes, varlen_sdpa)
    try:
        yield
    finally:
        _point(homes, official)


def _point(homes: list[ModuleType], function: Any) -> None:
    for module in homes:
        vars(module)["flash_attention"] = function


def varlen_sdpa(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_lens: Tensor | None = None,
    k_lens: Tensor | None = None,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    q_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    deterministic: bool = False,  # noqa: ARG001  # flash_attn's choice of a kernel
    dtype: torch.dtype = torch.bfloat16,
    version: int | None = None,  # noqa: ARG001  # of flash_attn
) -> Tensor:
    """Attention of (batch, length, heads, channels), each sequence by itself and at its own length.

    It takes what `flash_attention` of the Wan repositories takes and computes in the dtype that it computes in. Rows
    past a query's length are zero.
    """
    (batch, rows), dtype_of_result = q.shape[:2], q.dtype
    q, k, v = (tensor if tensor.dtype in HALF else tensor.to(dtype) for tensor in (q, k, v))
    q_rows = [rows] * batch if q_lens is None else q_lens.tolist()
    k_rows = [k.shape[1]] * batch if k_lens is None else k_lens.tolist()
    out = q.new_zeros((batch, rows, q.shape[2], v.shape[3]), dtype=v.dtype)
    for index, (lq, lk) in enumerate(zip(q_rows, k_rows, strict=True)):
        query = q[index, :lq].to(v.dtype)
        query = query if q_scale is None else query * q_scale
        out[index, :lq] = scaled_dot_product_attention(
            _heads_first(query),
            _heads_first(k[index, :lk].to(v.dtype)),
            _heads_first(v[index, :lk]),
            attn_mask=_mask(lq, lk, causal, window_size, q.device),
            dropout_p=dropout_p,
            scale=softmax_scale,
            enable_gqa=q.shape[2] != k.shape[2],
        )[0].transpose(0, 1)
    return out.to(dtype_of_result)


def _heads_first(sequence: Tensor) -> Tensor:
    """(length, heads, channels) to (1, heads, length, channels)."""
    return sequence.transpose(0, 1).unsqueeze(0)


def _mask(lq: int, lk: int, causal: bool, window: tuple[int, int], device: torch.device) -> Tensor | None:
    """Which key a query sees, None for all: as in flash_attn, the last query stands at the last key."""
    left, right = window[0], 0 if causal else window[1]
    if left < 0 and right < 0:
        return None
    ahead = torch.arange(lk, device=device) - torch.arange(lk - lq, lk, device=device).unsqueeze(1)
    mask = torch.ones_like(ahead, dtype=torch.bool)
    if left >= 0:
        mask &= ahead >= -left
    if right >= 0:
        mask &= ahead <= right
    return mask
