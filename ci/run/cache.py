"""What lies in this user's caches: how much it is, when it was last used, and its removal."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import GtError, writing

OURS = ("results", "inputs", "code", "indexes")  # the folders of our cache, as the runner names them
WEIGHTS = "weights"
DAY = 86_400  # seconds; a younger half-made result may be a run's work


@dataclass(frozen=True)
class Item:
    """A result, an input, a checkout, an index or the weights of a model: what is kept or removed as a whole."""

    kind: str
    path: Path

    @property
    def size(self) -> int:
        """Bytes of its files; what links lead to lies in the same item."""
        return sum(status.st_size for status in self._statuses())

    @property
    def used(self) -> float:
        """When it was last written or, as far as the file system keeps that, read; seconds since the epoch."""
        return max((max(status.st_mtime, status.st_atime) for status in self._statuses()), default=0.0)

    def _statuses(self) -> Iterator[os.stat_result]:
        """Those of its files. A link counts for nothing: whoever follows one, as a listing does, uses it."""
        for path in [self.path, *self.path.rglob("*")]:
            with suppress(FileNotFoundError):  # a run ended meanwhile
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield status

    def remove(self) -> None:
        """Remove it, under another name first, so that no run reads half of it. Raises GtError."""
        with writing(self.path, GtError, "remove it by hand"):
            if self.path.is_file():
                self.path.unlink()
                return
            target = self.path.with_name(f".{self.path.name.lstrip('.')}.removed")
            self.path.rename(target)
            shutil.rmtree(target)


def folders(cache: Path) -> dict[str, Path]:
    """Where each kind lies: ours in our cache, weights in that of huggingface_hub."""
    return {**{kind: cache / kind for kind in OURS}, WEIGHTS: hub_cache()}


def items(cache: Path, models: Iterable[str], now: float) -> Iterator[Item]:
    """Everything that was made or fetched here; of weights only these models', since other tools use that cache too."""
    for kind in OURS:
        for path in sorted((cache / kind).glob("*")):
            item = Item(kind, path)
            if path.suffix != ".partial" or now - item.used > DAY:
                yield item
    for model in sorted(set(models)):
        path = hub_cache() / f"models--{model.replace('/', '--')}"
        if path.is_dir():
            yield Item(WEIGHTS, path)


def hub_home() -> Path:
    """The folder of huggingface_hub, by its own rules; the library is part of the runner's environment, not of ours."""
    return _expanded(os.environ.get("HF_HOME", str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"))))


def hub_cache() -> Path:
    """Its cache of models, which may lie elsewhere."""
    default = os.environ.get("HUGGINGFACE_HUB_CACHE", str(hub_home() / "hub"))
    return _expanded(os.environ.get("HF_HUB_CACHE", default))


def _expanded(path: str) -> Path:
    # As that library does; unlike Path.expanduser, it leaves the text where the user has no home.
    return Path(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111
