"""The engine's bodies of publishing: the gate in a container, the commit from the module's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from ..artifact.replay_report import Metrics
from ..errors import PublishError
from ..judge import on_engine
from ..publish.remotes.address import is_path, parts_of_url
from ..publish.remotes.base import WRITE, Remote, Right
from ..run import transfer
from ..run.recipes import CHECK
from .images import InImage
from .publish import Publish, PublishAccess

SCHEMES = ("https", "http", "git")


def check_reached(url: str, option: str, local: str, right: Right = WRITE) -> None:
    """Raises PublishError for an address that only the caller's machine reaches."""
    if is_path(url) or parts_of_url(url, right).scheme not in SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise PublishError(f"{option} {url}: the module takes {schemes}; for ssh and paths use {local}")


class FromEngine(PublishAccess):
    """The module's process has neither the caller's folders nor its ssh keys."""

    command = "the same call of the module"

    @contextmanager
    def remote(self, branch: str = "", base: str = "") -> Iterator[Remote]:
        """The data repository. Raises PublishError for an address that only the caller's machine reaches."""
        check_reached(self.to, "--to", "gt publish")
        with super().remote(branch, base) as remote:
            yield remote


class PublishAccessOnEngine(FromEngine):
    """From the module's process."""


@dataclass(frozen=True, kw_only=True)
class PublishOnEngine(InImage, FromEngine, Publish):
    """With the gate in a container."""

    async def run_on_engine(self) -> str:
        """The commit that holds the files, and a line for each thing to say of it."""
        artifact = await transfer.exported(self.artifact.directory, "gt")
        cases = await transfer.exported(self.cases.directory, "cases") if self.prune else Path()  # for pruning alone
        judge = await self.container(CHECK)

        async def gate(_: Path, published: Path) -> None:
            directory = transfer.folder(published) if any(published.iterdir()) else None
            await on_engine.gate(judge, on_engine.Subject(self.artifact.directory, published=directory))

        async def compare(_: Path, published: Path) -> dict[str, Metrics]:
            return await on_engine.against(judge, self.artifact.directory, published)

        verb = replace(self, token=None if self.token is None else await self.token.plain())
        answer = await anyio.to_thread.run_sync(
            verb.publish,
            artifact,
            cases,
            lambda *folders: anyio.from_thread.run(gate, *folders),
            lambda *folders: anyio.from_thread.run(compare, *folders),
        )
        return answer.words
