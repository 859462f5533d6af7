"""The lock file: which published GT lies in a directory. TOML, one line for each file, always in the same order."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ...catalogue.fields import Commit, FileName, RelativePath, Sha256, Strict
from ...errors import FetchError, printable, reading
from ...words import first_mistake
from .request import Request

NAME = "gt.lock"
VERSION = 1
_HEAD = "# Made by `gt fetch`: the published GT of a directory. Commit this file; `gt fetch --update` moves it on.\n"


class LockedFile(Strict):
    """A file of the directory: its sha256, the file of the repository that it is, and what it was verified by.

    `manifest`: the sha256 that the published manifest has; `git`: git's own id alone, since no manifest names it.
    """

    sha256: Sha256
    path: RelativePath
    verified: Literal["manifest", "git"]


class Lock(Request):
    """What was asked for, and what that is."""

    version: Literal[1] = 1
    commit: Commit
    manifest: Sha256 | None = None  # of the directory's manifest.json, which is made of the published ones
    files: dict[FileName, LockedFile]

    @property
    def request(self) -> Request:
        """What was asked for."""
        return Request(**{name: getattr(self, name) for name in Request.model_fields})

    def text(self) -> str:
        """As it is written: what a branch that moved changes are the line of the commit and those of files."""
        lines = [_HEAD, f"version = {self.version}"]
        lines += [f"{key} = {_toml(value)}" for key, value in self.request.model_dump().items() if value]
        lines += [commit_line(self.commit)]
        lines += [f"manifest = {_toml(self.manifest)}"] if self.manifest else []
        lines += ["", "[files]", *(file_line(name, self.files[name]) for name in sorted(self.files))]
        return "\n".join(lines) + "\n"


def commit_line(commit: str) -> str:
    """The line of the commit."""
    return f"commit = {_toml(commit)}"


def file_line(name: str, file: LockedFile) -> str:
    """The line of a file."""
    fields = ", ".join(f"{key} = {_toml(value)}" for key, value in file.model_dump().items())
    return f"{_toml(name)} = {{ {fields} }}"


def read(path: Path) -> Lock | None:
    """A lock file; None where there is none. Raises FetchError for one that cannot be read."""
    if not path.exists():
        return None
    with reading(path, FetchError):
        text = path.read_text(encoding="utf-8")
    advice = f"restore {path}, or remove it and fetch anew"
    try:
        content = tomllib.loads(text)
        return Lock.model_validate(content)
    except tomllib.TOMLDecodeError as error:
        raise FetchError(f"{path} is no lock file: {printable(str(error))}; {advice}") from None
    except ValidationError as error:
        if isinstance(content.get("version"), int) and content["version"] > VERSION:
            raise FetchError(f"{path} was made by a newer version of diffusion-gt; update this one") from None
        raise FetchError(f"{path} is no lock file: {printable(first_mistake(error))}; {advice}") from None


def _toml(value: Any) -> str:
    """A value in TOML, whose strings are JSON's but for DEL, which no field of a lock file may hold."""
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_toml(each)},\n" for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)
