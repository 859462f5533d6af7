"""The folders of this machine that the fetch phase works with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FetchError

_REPO = re.compile(r"(?!\.\.?/)[A-Za-z0-9_.-]+/(?!\.\.?$)[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Places:
    """Folders of this machine. Hub weights lie elsewhere: in huggingface_hub's own cache (HF_HOME), under its locks."""

    cache: Path  # ours: inputs/, code/ and indexes/ live under it
    local: Path | None = None  # --models DIR: DIR/<owner>/<name> and DIR/inputs/<file name> stand in for downloads
    engine: Path | None = None  # the checkout of the engine that makes native cases
    engine_identity: str | None = None  # of that checkout, where the caller knows it

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Places:
        """Those of a run or of a task, see `supervisor.Run`."""
        local, engine = (Path(run[name]) if run.get(name) else None for name in ("models", "engine"))
        return cls(Path(run["cache"]), local, engine, run.get("engine_identity"))

    def stand_in(self, repo: str) -> Path | None:
        """The local folder of `owner/name`, if there is one. Raises FetchError for a name that is no owner/name."""
        if not _REPO.fullmatch(repo):
            raise FetchError(f"{repo!r} is no repository name; write it as owner/name")
        folder = None if self.local is None else self.local / repo
        return folder if folder is not None and folder.is_dir() else None

    def check(self) -> None:
        """Raises FetchError where the folder that was asked for is not there: its absence must not mean a download."""
        if self.local is not None and not self.local.is_dir():
            raise FetchError("the --models folder is not there; make it, or leave the option out")
