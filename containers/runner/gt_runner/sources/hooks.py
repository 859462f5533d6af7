"""Watches an implementation at work, from outside: no argument of the call is spent on it, and no bit changes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from . import Step


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """While open, the attribute of a module, class or object is another one."""
    is_own, original = name in vars(owner), getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original) if is_own else delattr(owner, name)


@contextmanager
def reported(module: Any, step: Step, total: int) -> Iterator[None]:
    """While open, `step` gets each finished round of the tqdm loops of `module`, counted over all of them."""
    official, count = module.tqdm, 0

    def counted(items: Iterable[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal count
        for item in official(items, *args, **kwargs):
            yield item
            count += 1
            step(count, total)

    with replaced(module, "tqdm", counted):
        yield


def finite(tensor: Any) -> None:
    """Raises SourceError where a tensor holds NaN or infinity: as 8 bits it would be black, and pass as an image."""
    if torch.is_tensor(tensor) and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        what = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
        raise SourceError(f"the model's output holds {what}, so there is no image; check its weights and the dtype")
