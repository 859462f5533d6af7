"""A way to an engine that can be cut or frozen: what a host that dies or hangs in a job looks like from outside."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Proxy:
    """Forwards TCP from `host`, on a port of its own, to an engine's address, until it is cut or frozen."""

    def __init__(self, host: str, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server((host, 0))
        self._open: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()
        self.name = f"{host}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """What `--host` takes after the kind."""
        return f"tcp://{self.name}"

    def cut(self) -> None:
        """End every connection, and take no new one."""
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def freeze(self) -> None:
        """Keep every connection open, and take new ones, but let nothing through."""
        self._flows.clear()

    def _accept(self) -> None:
        with suppress(OSError):  # cut
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._flows.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
