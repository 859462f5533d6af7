"""What stops a run: the signals that end it, such as Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn


def ending_signals() -> list[signal.Signals]:
    """The signals that end a run; not the hang-up of a terminal where the caller has it ignored, as nohup does."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_ignored else [signal.SIGHUP])]


def interruptible() -> None:
    """From now on the first of these signals is a KeyboardInterrupt.

    A shell has SIGINT ignored for what a script starts in the background, and Python keeps to that.
    """
    for sign in ending_signals():
        signal.signal(sign, interrupt)


def interrupt(*_: object) -> NoReturn:
    """Raise KeyboardInterrupt, and pass over what comes after it: Slurm, for one, signals every process of a task."""
    for sign in ending_signals():
        signal.signal(sign, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the end: a finished case whose event is cut in two would be lost to the caller."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    arrivals: list[signal.Signals] = []
    before = {
        sign: signal.signal(sign, lambda sign, _: arrivals.append(signal.Signals(sign))) for sign in ending_signals()
    }
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    if any(before[sign] is not signal.SIG_IGN for sign in arrivals):
        interrupt()
