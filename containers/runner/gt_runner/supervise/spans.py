"""Cases and their phases as OpenTelemetry spans, while they run: what a Dagger engine shows in a terminal and a trace.

An engine gives each container an address for spans. They go there as OTLP over HTTP, encoded here: the five messages
that a span needs are no reason to have OpenTelemetry's packages in every environment, which decides what is made.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import re
import secrets
import threading
import time
import urllib.request
from dataclasses import dataclass, field

from ..events import Event

ADDRESS = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PARENT = "GT_TRACEPARENT"  # the caller's span that cases belong to, as W3C writes it
TIMEOUT_S, LAST_S = 2.0, 5.0  # of a request; for all that is left at the end
ERROR = 2  # of OTLP's status codes
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass
class Span:
    """A span of OTLP; sent at its start, when it changes and at its end."""

    trace: bytes
    parent: bytes
    name: str
    id: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    start: int = field(default_factory=time.time_ns)
    end: int = 0  # while it runs
    error: str = ""
    progress: tuple[int, int] | None = None  # done, and in all

    def encoded(self) -> bytes:
        """An ExportTraceServiceRequest with this span alone."""
        fields = [(1, self.trace), (2, self.id), (4, self.parent), (5, self.name.encode())]
        parts = [*(_bytes(number, value) for number, value in fields), _fixed(7, self.start), _fixed(8, self.end)]
        if self.progress is not None:
            done, total = self.progress
            parts += [
                _bytes(9, _attribute(f"dagger.io/progress.{what}", n))
                for what, n in (("current", done), ("total", total))
            ]
        status = _bytes(2, self.error.encode()) + _number(3, ERROR) if self.error else b""
        span = _bytes(2, b"".join([*parts, _bytes(15, status)]))
        return _bytes(
            1, _bytes(1, b"") + _bytes(2, _bytes(1, _bytes(1, b"diffusion-gt")) + span)
        )  # engines read all of it


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _fixed(number: int, value: int) -> bytes:
    return _varint(number << 3 | 1) + value.to_bytes(8, "little")


def _attribute(key: str, value: int) -> bytes:
    return _bytes(1, key.encode()) + _bytes(2, _number(3, value))


class Spans:
    """Turns a run's events into spans: one for each case, and one for each of its phases under it.

    `before` stands in front of each name, such as the host of a run whose engine is another one.
    """

    def __init__(self, before: str = "") -> None:
        self._before = before
        match = _TRACEPARENT.fullmatch(os.environ.get(PARENT, ""))
        self._address = os.environ.get(ADDRESS, "") if match else ""  # else nobody watches
        self._trace, self._parent = map(bytes.fromhex, match.groups()) if match else (b"", b"")
        self._cases: dict[str, Span] = {}
        self._phases: dict[str, Span] = {}
        self._messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._sender = threading.Thread(target=self._send, daemon=True)
        if self._address:
            self._sender.start()
            atexit.register(self._close)

    def show(self, event: Event) -> None:
        """Send what an event changes."""
        if not self._address:
            return
        match event["event"]:
            case "phase":
                self._enter(event["case"], event["phase"])
            case "loaded":
                self._leave(event["case"])
            case "step":
                self._step(event["case"], "generate", event["done"], event["total"], "step ")
            case "fetching":
                self._step(
                    event["case"], "fetch", event["done"] // 10**6, event["total"] // 10**6, f"{event['what']}, MB "
                )
            case "ready" if event["case"] in self._cases:
                self._end(event["case"], "fetched")
            case "reused":
                self._end(event["case"], "made before")
            case "done":
                self._end(event["case"], "made")
            case "failed" | "skipped":
                self._end(event["case"], event["event"], event["reason"])

    def note(self, text: str) -> None:
        """Send a span that has ended as it began: something that a person should see."""
        if self._address:
            self._put(self._span(self._parent, text, end=time.time_ns()))

    def _span(self, parent: bytes, name: str, end: int = 0) -> Span:
        return Span(self._trace, parent, self._before + name, end=end)

    def _enter(self, case: str, phase: str) -> None:
        if case not in self._cases:
            self._put(self._cases.setdefault(case, self._span(self._parent, case)))
        self._leave(case)
        self._phases[case] = self._span(self._cases[case].id, f"{case} {phase}")
        self._put(self._phases[case])

    def _step(self, case: str, phase: str, done: int, total: int, what: str) -> None:
        if case not in self._phases:
            self._enter(case, phase)
        span = self._phases[case]
        span.name, span.progress = f"{self._before}{case} {phase}: {what}{done} of {total}", (done, total)
        self._put(span)

    def _leave(self, case: str, error: str = "") -> None:
        span = self._phases.pop(case, None)
        if span is not None:
            span.end, span.error = time.time_ns(), error
            self._put(span)

    def _end(self, case: str, how: str, error: str = "") -> None:
        self._leave(case, error)
        span = self._cases.pop(case, None) or self._span(self._parent, case)
        span.name, span.end, span.error = f"{self._before}{case}: {how}", time.time_ns(), error
        self._put(span)

    def _put(self, span: Span) -> None:
        self._messages.put(span.encoded())

    def _send(self) -> None:
        headers = {"Content-Type": "application/x-protobuf"}
        while (message := self._messages.get()) is not None:
            with contextlib.suppress(OSError):  # a run does not depend on who watches it
                request = urllib.request.Request(self._address, message, headers)  # noqa: S310  # the engine's address
                urllib.request.urlopen(request, timeout=TIMEOUT_S).close()  # noqa: S310

    def _close(self) -> None:
        self._messages.put(None)
        self._sender.join(LAST_S)
