"""The verb that brings published GT to where tests read it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typing_extensions import Doc

from ..errors import GtError
from ..publish.fetch import lock as locks
from ..publish.fetch.fetch import NOTHING, Order, lines, run
from ..publish.fetch.request import Request
from ..publish.remotes.opening import reading
from ..publish.retry import Patience
from .answers import Answer, say
from .options import CaseIds, Folder, Secret, Typed, Written
from .publish import User

if TYPE_CHECKING:
    from ..publish.remotes.reading import GitReader


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Bring published GT to where tests read it: a pinned commit, and only the files that are needed and not there yet.

    Of each case it takes the files of the GPU kind's folder, else the bare ones, as readers do, and verifies them by
    the published manifest. The directory has no other images then, and gt.lock says which commit and which files:
    commit it. What the lock says stays until --update. Prints the commit. `gt` reads the token from the variable
    GT_FETCH_TOKEN, and exits with 2 where nothing was fetched.
    """

    address: Annotated[
        str,
        Doc("The data repository as URL@REV or URL@REV:PATH; what the lock says if not given."),
        Typed(positional=True),
    ] = ""
    gpu: Annotated[str, Doc("GPU kind whose folder is looked into first."), Typed(default="only the bare folder")] = ""
    case_ids: CaseIds = ()
    locked: Annotated[bool, Doc("Refuse whatever is not as the lock says, and never change it: for CI.")] = False
    update: Annotated[bool, Doc("Move on to the commit where the revision is now.")] = False
    lock_file: Annotated[Path | None, Doc("The lock file."), Typed(default="gt.lock in the directory")] = None
    token: Annotated[Secret | None, Doc("Token that may read there."), Typed(variable="GT_FETCH_TOKEN")] = None
    user: User = ""
    output: Annotated[Folder, Doc("The directory that tests read."), Written()] = Folder("published")

    def run(self) -> Answer:
        """The commit, and what lies in the directory now."""
        return self.fetch(self.output.path, self.lock_file or self.output.path / locks.NAME)

    def fetch(self, directory: Path, lock: Path) -> Answer:
        """Fetch into a directory, by the lock that is there."""
        if not self.address and (self.gpu or self.case_ids):
            raise GtError("--gpu and --case-ids need the repository too, as URL@REV or URL@REV:PATH")
        if self.locked and self.update:
            raise GtError("--locked keeps the lock as it is, and --update changes it; choose one")
        request = Request.of(self.address, self.gpu, self.case_ids) if self.address else None
        order = Order(directory, lock, request, self.locked, self.update)
        result = run(order, self.opened, Patience(say=say, outcome=NOTHING))
        return Answer(result.lock.commit, lines(order, result))

    def opened(self, repository: str) -> AbstractContextManager[GitReader]:
        """The data repository, to be read."""
        return reading(repository, "" if self.token is None else self.token.text, self.user)
