"""The signals that end a run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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


@dataclass
class Stop:
    """Whether a signal has come that ends a run. A threading.Event could not be set while its own lock is held."""

    is_set: bool = False


@contextmanager
def stopping() -> Iterator[Stop]:
    """While open, the signals that end a run only set what is given."""
    stop = Stop()
    with on_stop(lambda *_: setattr(stop, "is_set", True)):
        yield stop
