"""What the tests' HTTP servers share: a thread that serves, a handler that logs nothing, faults that a test plants."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar

LOCK = threading.Lock()


class Fault(Protocol):
    """What goes wrong, `times` times, for requests whose method and path match."""

    path: str
    times: int
    method: str


F = TypeVar("F", bound=Fault)


def next_fault(faults: list[F], method: str, path: str) -> F | None:
    """The fault for a request, if one is left; it is used up once."""
    with LOCK:
        for fault in faults:
            if fault.times > 0 and re.fullmatch(fault.method, method) and re.search(fault.path, path):
                fault.times -= 1
                return fault
    return None


class Http(ThreadingHTTPServer):
    """Serves an owner's answers on a free port."""

    daemon_threads = True

    def __init__(self, owner: Any, handler: type[Handler], address: str = "127.0.0.1") -> None:
        self.owner = owner
        super().__init__((address, 0), handler)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def stop(self) -> None:
        """Stop serving; once is enough."""
        if self.thread.is_alive():
            self.shutdown()
            self.thread.join()
            self.server_close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """It serves inside; one that a test stopped itself is left alone."""
        self.thread.start()
        try:
            yield
        finally:
            self.stop()


class Handler(BaseHTTPRequestHandler):
    """Hands each request to `respond`. The owner keeps the log of requests, so none is printed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement
    server: Http

    def respond(self) -> None:
        """Answer the request."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.respond()

    def do_HEAD(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def do_PATCH(self) -> None:
        self.respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send an answer whose length is known."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
