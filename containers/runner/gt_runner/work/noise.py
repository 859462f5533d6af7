"""The initial latent of a case: the first noise that its implementation draws from a generator of its own."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

InitialLatent = dict[str, Any]


def unknown(reason: str) -> InitialLatent:
    """What a record says where nothing is known of the noise."""
    return {"sha256": None, "shape": None, "dtype": None, "reason": reason}


def described(tensor: Any) -> InitialLatent:
    """What a record says of a noise that is known."""
    raw = tensor.detach().cpu().contiguous().view(sys.modules["torch"].uint8).numpy().tobytes()
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {"sha256": hashlib.sha256(raw).hexdigest(), "shape": list(tensor.shape), "dtype": dtype, "reason": None}


@contextmanager
def first_noise(watcher: Callable[[Any], None] = lambda _: None) -> Iterator[InitialLatent]:
    """While open, waits for the first tensor that `torch.randn` draws from a generator; changes no bit.

    The value is filled in then: the sha256 of the tensor's bytes as it was drawn, before any scaling or packing.
    `watcher` gets the tensor.
    """
    latent = unknown("the implementation drew no noise with torch.randn from a generator of its own")
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield latent
        return
    randn = torch.randn

    def drawn(*args: Any, **kwargs: Any) -> Any:
        tensor = randn(*args, **kwargs)
        if kwargs.get("generator") is not None:
            torch.randn = randn
            latent.update(described(tensor))
            watcher(tensor)
        return tensor

    torch.randn = drawn
    try:
        yield latent
    finally:
        torch.randn = randn
