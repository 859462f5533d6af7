"""A data repository with published GT behind a real git server, and ways to fetch from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ci.publish.fetch import lock as locks
from ci.publish.fetch.fetch import NOTHING, FetchResult, Order, run
from ci.publish.fetch.lock import Lock
from ci.publish.fetch.request import Request
from ci.publish.remotes.opening import reading
from ci.publish.retry import Patience
from tests.support.git_server import GitServer
from tests.support.publishers import Place, artifact

QUICK = Patience(attempts=3, first=0.01, longest=0.1, outcome=NOTHING)


@dataclass(frozen=True)
class Consumer:
    """A repository that reads published GT."""

    server: GitServer
    directory: Path

    @property
    def lock(self) -> Path:
        return self.directory / locks.NAME

    def fetch(
        self,
        revision: str = "main",
        path: str = "gt/official",
        gpu: str = "",
        *cases: str,
        url: str = "",
        locked: bool = False,
        update: bool = False,
    ) -> FetchResult:
        """Fetch as the command does."""
        address = f"{url or self.server.url}@{revision}{f':{path}' if path else ''}"
        order = Order(self.directory, self.lock, Request.of(address, gpu, cases), locked, update)
        return run(order, partial(reading, token=self.server.reader), QUICK)

    def again(self, *, locked: bool = False, update: bool = False) -> FetchResult:
        """Fetch what the lock says."""
        order = Order(self.directory, self.lock, None, locked, update)
        return run(order, partial(reading, token=self.server.reader), QUICK)

    def locked(self) -> Lock:
        lock = locks.read(self.lock)
        assert lock is not None
        return lock

    def files(self) -> dict[str, bytes]:
        """Everything that lies in the directory, but for the lock."""
        found = {
            path.relative_to(self.directory).as_posix(): path for path in self.directory.rglob("*") if path.is_file()
        }
        return {name: path.read_bytes() for name, path in found.items() if name != locks.NAME}


@pytest.fixture
def consumer(server: GitServer, tmp_path: Path) -> Consumer:
    return Consumer(server, tmp_path / "tests" / "gt")


@pytest.fixture
def publish(http: Place, tmp_path: Path) -> Callable[..., str]:
    """Publish cases, as the files `<case>_1gpu.png` and the manifest that names them; gives the commit."""
    numbers = iter(range(100))

    def go(contents: dict[str, bytes | None], target: str = "gt/official", *, bare: bool = True) -> str:
        made = artifact(tmp_path / f"made-{next(numbers)}", contents)
        accept = dict.fromkeys(contents, "meant")
        return http.publish(made, target=target, bare=bare, accept=accept, allow_hidden=True).commit

    return go
