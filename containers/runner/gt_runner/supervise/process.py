"""One step of a job in a process of its own: a task goes in as JSON, events come out as JSON lines.

A child never outlives its parent: it watches its standard input, which closes when the parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from ..events import Emit, Event, parsed
from . import reaper

ROOT = Path(__file__).resolve().parents[2]  # the folder that makes this package importable
GRACE = 5.0  # seconds between asking a child to end and killing it
LOOK_S = 1.0  # between two looks at whether a process is alive


class HungError(Exception):
    """A child gave no final event before its deadline."""


class Child:
    """A running `python -m gt_runner STEP`; its output goes to `log`, its events to whoever iterates."""

    def __init__(self, step: str, env: Mapping[str, str], log: Path, *arguments: str) -> None:
        source, sink = os.pipe()
        command = [sys.executable, "-m", "gt_runner", step, "--events", str(sink), *arguments]
        path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH", "")]))
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=[sink],
                env={**env, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        os.close(sink)
        self.log = log
        self._over = threading.Event()
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    @property
    def status(self) -> int:
        """Its exit status, negative where a signal killed it; 0 while it runs."""
        return self.process.returncode or 0

    @property
    def over(self) -> bool:
        """Whether it has ended, with everything it started."""
        return self._over.is_set()

    def send(self, value: Any) -> None:
        """Hand over the task, or what the child asked for. One that is already dead is noticed when its events end."""
        assert self.process.stdin is not None  # noqa: S101  # for the type checker
        with contextlib.suppress(BrokenPipeError, ValueError):  # ValueError: closed by `end`
            self.process.stdin.write(json.dumps(value).encode() + b"\n")
            self.process.stdin.flush()

    def events(self, deadline: Callable[[], float | None] = lambda: None) -> Iterator[Event]:
        """Events until the child ends. Raises HungError once `deadline()`, a time.monotonic() value, has passed."""
        while True:
            limit = deadline()
            try:
                event = self._events.get(timeout=None if limit is None else max(0.0, limit - time.monotonic()))
            except queue.Empty:
                raise HungError from None
            if event is None:
                return
            yield event

    def end(self) -> None:
        """Stop the child and everything it started; not one that hangs in a driver, which no signal reaches."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self.over:
                self._signal(sign)
                self._over.wait(GRACE)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def _read(self, pipe: int) -> None:
        rest = b""
        while data := self._next_bytes(pipe):
            *lines, rest = (rest + data).split(b"\n")
            for event in filter(None, map(parsed, lines)):
                self._events.put(cast("Event", event))
        os.close(pipe)
        self.process.wait()
        self._signal(signal.SIGKILL)  # what it has left running; later the number may be another process's
        self._over.set()
        self._events.put(None)

    def _next_bytes(self, pipe: int) -> bytes:
        """What it writes next; nothing once it has ended, also where something that it forked holds the pipe open."""
        while True:
            is_over = self.process.poll() is not None  # all that it wrote is in the pipe then
            if select.select([pipe], [], [], 0 if is_over else LOOK_S)[0]:
                return os.read(pipe, 1 << 16)
            if is_over:
                return b""

    def _signal(self, sign: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, sign)


def ending(status: int) -> str:
    """How a process ended, in words that follow its name."""
    if status >= 0:
        return f"ended with status {status}"
    hint = " (often: out of memory)" if -status == signal.SIGKILL else ""  # the kernel's OOM killer sends it
    return f"was killed by signal {-status}{hint}"


def lines(at_end: Callable[[], None] = lambda: None) -> Iterator[Any]:
    """In a child: what the parent sends, value by value, the task first; watches the parent meanwhile.

    `at_end` is called when the parent is gone.
    """
    values: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def end_with_parent() -> None:
        rest = b""
        while data := os.read(sys.stdin.fileno(), 1 << 16):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                values.put(json.loads(line))
        at_end()
        os.killpg(0, signal.SIGKILL)  # with all that it has started: it leads a session of its own

    threading.Thread(target=end_with_parent, daemon=True).start()
    return iter(values.get, values)  # endless: the process ends before the values do


def leave(status: int) -> NoReturn:
    """In a child: end at once. What it made is on disk, and taking torch apart would take a second or two."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def wait_for_end_of_input() -> None:
    """Until standard input is closed; not through sys.stdin, whose lock a waiting thread would hold at our own end."""
    while os.read(sys.stdin.fileno(), 1024):
        pass


def end_with_caller() -> None:
    """End this process soon after the one that started it, whose death closes nothing that this one reads."""
    caller = os.getppid()

    def watch() -> None:
        while os.getppid() == caller:
            time.sleep(LOOK_S)
        reaper.end_all()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def asking(emit: Emit, values: Iterator[Any]) -> Callable[..., Any]:
    """In a child: the function that asks the parent, and waits for what it answers."""

    def ask(size: int | None = None) -> Any:
        emit({"event": "ask"} if size is None else {"event": "ask", "bytes": size})
        return next(values)

    return ask


def emitter(descriptor: int) -> Emit:
    """In a child: the function that sends events to the parent; safe to call from several threads."""
    pipe = os.fdopen(descriptor, "w", encoding="utf-8")
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            pipe.write(json.dumps(event) + "\n")
            pipe.flush()

    return emit
