"""The engine's body of fetch: from the module's process into a directory that holds the lock too."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
import dagger

from ..publish.fetch import lock as locks
from ..publish.remotes.base import READ
from ..run import transfer
from .fetch import Fetch
from .publish_on_engine import check_reached

if TYPE_CHECKING:
    from ..publish.remotes.reading import GitReader


@dataclass(frozen=True, kw_only=True)
class FetchOnEngine(Fetch):
    """Into a new directory, so that all of it is fetched."""

    def opened(self, repository: str) -> AbstractContextManager[GitReader]:
        """The data repository. Raises PublishError for an address that only the caller's machine reaches."""
        check_reached(repository, "--address", "gt fetch", READ)
        return super().opened(repository)

    async def run_on_engine(self) -> dagger.Directory:
        """The directory, with gt.lock."""
        folder = transfer.fresh_folder()
        if self.lock_file is not None:
            shutil.copyfile(self.lock_file, folder / locks.NAME)
        verb = replace(self, token=None if self.token is None else await self.token.plain())
        await anyio.to_thread.run_sync(partial(verb.fetch, folder, folder / locks.NAME))
        return await transfer.folder(folder).sync()
