"""Our own errors, as the Dagger module's caller is to see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagger.mod._exceptions import FunctionError  # what the SDK reports without a traceback

from .errors import GtError


@contextmanager
def plainly() -> Iterator[None]:
    """Our own errors reach the caller as their message, without a traceback."""
    try:
        yield
    except GtError as error:
        raise FunctionError(str(error)) from None
    except BaseExceptionGroup as group:  # of jobs side by side
        leaves = list(_leaves(group))
        ours = [str(error) for error in leaves if isinstance(error, GtError)]
        if ours:
            raise FunctionError("\n".join(dict.fromkeys(ours))) from None
        raise leaves[0] from None  # the rest were called off because of it


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
