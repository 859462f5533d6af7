"""What is to be fetched: a repository at a revision, a folder of it, a GPU kind, cases."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError

from ...catalogue.fields import PathName, RelativePath, Strict
from ...errors import FetchError
from ...words import first_mistake

_ADDRESS = re.compile(r"(?P<repository>.+)@(?P<revision>[^@:\s]+)(:(?P<path>[^@]*))?")
_FORM = "write it as URL@REV or URL@REV:PATH"

Word = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]


class Request(Strict):
    """As the caller put it; the lock file holds it, so that a later one can be told from it."""

    repository: Word
    revision: Word = Field(description="HEAD, a branch, a tag or a commit.")
    path: RelativePath | None = Field(None, description="The folder in the repository; the modes' two if left out.")
    gpu: PathName | None = Field(None, description="The GPU kind whose folder is looked into before the bare one.")
    cases: list[PathName] = Field(default_factory=list, description="Sorted; all of them if left out.")

    @classmethod
    def of(cls, address: str, gpu: str = "", cases: Iterable[str] = ()) -> Self:
        """Raises FetchError for an address that names no revision, or a folder that cannot be one."""
        parts = _ADDRESS.fullmatch(address)
        repository = parts["repository"].rstrip("/") if parts else ""
        if parts is None or not _is_repository(repository):
            place = "the address" if "://" in address else address  # it may hold a password
            raise FetchError(f"{place} names no repository and revision; {_FORM}")
        path = (parts["path"] or "").strip("/")
        fields = {"path": path or None, "gpu": gpu or None, "cases": sorted(set(cases))}
        try:
            return cls.model_validate({"repository": repository, "revision": parts["revision"], **fields})
        except ValidationError as error:
            raise FetchError(f"{first_mistake(error)}; {_FORM}") from None

    def differences(self, other: Request) -> list[str]:
        """What another request asks for otherwise, a line each."""
        pairs = [(key, getattr(self, key), getattr(other, key)) for key in Request.model_fields]
        return [f"{key}: {_words(ours)}, asked for: {_words(theirs)}" for key, ours, theirs in pairs if ours != theirs]


def _is_repository(text: str) -> bool:
    """Whether this can be a repository's address: of `git@host:path` and `https://me@host/path`, a part is none."""
    if "://" in text:
        return bool(text.partition("://")[2].partition("/")[2].strip("/"))
    return "/" in text or ":" in text or Path(text).is_dir()


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) and value else str(value) if value else "-"
