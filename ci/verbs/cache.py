"""The verb that shows and cleans this user's caches."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.filesize import decimal
from typing_extensions import Doc

from ..catalogue import files
from ..errors import GtError
from ..run import cache
from ..run.cache import WEIGHTS, Item
from ..run.on_machine import Places
from ..words import counted
from .answers import Answer
from .options import OURS, Cases

SECONDS = {"h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Show where results, inputs, code and weights lie on this machine and how large they are, or remove them.

    Of weights only those of the models that the case files name are looked at: other tools share that cache. Nothing
    is removed without --clean. Leave it while a run is going on.
    """

    older_than: Annotated[str, Doc("Only what was not used for so long: days, or such as 12h, 30d, 4w.")] = ""
    keep_weights: Annotated[bool, Doc("Leave the weights of models out.")] = False
    clean: Annotated[bool, Doc("Remove what is shown.")] = False
    cases: Cases = OURS

    def run(self) -> Answer:
        """A line for each place."""
        home, now = Places().cache, time.time()
        kinds = {WEIGHTS} if self.keep_weights else set()
        places = {kind: path for kind, path in cache.folders(home).items() if kind not in kinds}
        limit = now - _seconds(self.older_than)
        items = [item for item in cache.items(home, self._models(), now) if item.kind in places]
        sizes = {item: item.size for item in items if not self.older_than or item.used < limit}
        if self.clean:
            for item in sizes:
                item.remove()
        return Answer("\n".join(_table(places, sizes)), [self._total(len(sizes), sum(sizes.values()))])

    def _models(self) -> set[str]:
        catalogue = files.load(self.cases.path)
        cases = (*catalogue.cases.values(), *catalogue.native.values())
        return {repo for case in cases for repo in case.repositories}

    def _total(self, count: int, size: int) -> str:
        what = f"{counted(count, 'item')}, {decimal(size)}"
        if self.clean:
            return f"removed {what}"
        return f"{what}; --clean removes {'it' if count == 1 else 'them'}" if count else "nothing is there"


def _table(places: dict[str, Path], sizes: dict[Item, int]) -> Iterator[str]:
    for kind, path in places.items():
        group = [size for item, size in sizes.items() if item.kind == kind]
        yield f"{kind:<8} {decimal(sum(group)):>9} {len(group):>6}  {_short(path)}"
    for item, size in sizes.items():
        if item.kind == WEIGHTS:
            yield f"  {decimal(size):>15}         {item.path.name.removeprefix('models--').replace('--', '/')}"


def _short(path: Path) -> str:
    home = os.path.expanduser("~")  # noqa: PTH111  # leaves the text where the user has no home
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _seconds(text: str) -> float:
    """How long a duration is; 0 where none is given. Raises GtError."""
    if not text:
        return 0
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdw]?)", text.strip())
    if parts is None:
        raise GtError(f"--older-than {text} is no time; write days, or such as 12h, 30d, 4w")
    return float(parts[1]) * SECONDS[parts[2] or "d"]
