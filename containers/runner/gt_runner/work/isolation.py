"""Takes the network away from this process and its children for good: after the fetch phase a case must not need it.

On Linux the kernel refuses every socket that could leave the machine (seccomp, through libseccomp). On every system an
audit hook refuses Python's own sockets and counts the attempts, so that a source which catches the error fails as well.
"""

from __future__ import annotations

import errno
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from ..errors import NetworkUsedError, RunnerError

_attempts: list[str] = []


def isolate() -> str:
    """Forbid network sockets from now on; returns how: `seccomp` or `audit hook`.

    Raises RunnerError on Linux where the kernel does not take the filter.
    """
    how = "audit hook"
    if sys.platform == "linux":
        _filter()
        how = "seccomp"
    sys.addaudithook(_refuse)
    return how


def check(since: int = 0) -> None:
    """Raises NetworkUsedError if a socket was opened after the first `since` attempts."""
    if len(_attempts) > since:
        raise NetworkUsedError(f"opened a network socket after the fetch phase, at {_attempts[since]}")


def attempts() -> int:
    """How many sockets have been refused so far."""
    return len(_attempts)


def _filter() -> None:
    try:
        import pyseccomp as seccomp  # noqa: PLC0415  # Linux only, and needs libseccomp.so.2

        rules = seccomp.SyscallFilter(seccomp.ALLOW)
        for family in (socket.AF_INET, socket.AF_INET6):
            rules.add_rule(seccomp.ERRNO(errno.EACCES), "socket", seccomp.Arg(0, seccomp.EQ, family))
        rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)  # threads that libraries have started are bound too
        rules.load()
    except (ImportError, RuntimeError, OSError) as error:
        raise RunnerError(f"the network cannot be taken away ({error}); install libseccomp2 and pyseccomp") from error
    try:
        socket.socket(socket.AF_INET).close()
    except OSError:
        return
    raise RunnerError("the network cannot be taken away: the kernel ignored the filter")


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.__new__" and args[1] in (socket.AF_INET, socket.AF_INET6):
        callers = [frame for frame in traceback.extract_stack() if frame.filename not in (__file__, socket.__file__)]
        _attempts.append(f"{Path(callers[-1].filename).name}:{callers[-1].lineno}")
        raise PermissionError(errno.EACCES, "no network after the fetch phase")
