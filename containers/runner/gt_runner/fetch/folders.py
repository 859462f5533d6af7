"""The folders of this machine that the fetch phase works with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import FetchError
from ..tasks import Options

_REPO = re.compile(r"(?!\.\.?/)[A-Za-z0-9_.-]+/(?!\.\.?$)[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Folders:
    """Folders of this machine. Hub weights lie elsewhere: in huggingface_hub's own cache (HF_HOME), under its locks."""

    cache: Path  # ours: inputs/, code/ and indexes/ live under it
    local: Path | None = None  # --models DIR: DIR/<owner>/<name> and DIR/inputs/<file name> stand in for downloads
    serving: Path | None = None  # the checkout of the serving engine that makes native cases
    serving_identity: str | None = None  # of that checkout, where the caller knows it

    @classmethod
    def of(cls, options: Options) -> Folders:
        """Those of a run."""
        models, serving = options["models"], options.get("serving")
        local, checkout = (Path(folder) if folder else None for folder in (models, serving))
        return cls(Path(options["cache"]), local, checkout, options.get("serving_identity"))

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
