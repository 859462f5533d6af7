"""Reports the steps of an implementation that shows them with tqdm."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from . import Step


@contextmanager
def reported(module: Any, step: Step, total: int) -> Iterator[None]:
    """While open, `step` hears of each finished round of the tqdm loops of `module`, counted over all of them.

    The loops see the same items in the same order: no argument of the call is spent on it, and no bit changes.
    """
    official, done = module.tqdm, 0

    def counted(items: Iterable[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal done
        for item in official(items, *args, **kwargs):
            yield item
            done += 1
            step(done, total)

    module.tqdm = counted
    try:
        yield
    finally:
        module.tqdm = official
