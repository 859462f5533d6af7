"""The signals that end a run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def stops() -> list[signal.Signals]:
    """The signals that end a run as Ctrl-C does; without SIGHUP under nohup, which asks for that."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_ignored else [signal.SIGHUP])]


@contextmanager
def on_stop(stop: Callable[..., None]) -> Iterator[None]:
    """While open, `stop` is called for each signal that ends a run."""
    handlers = {sign: signal.signal(sign, stop) for sign in stops()}
    try:
        yield
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler)
