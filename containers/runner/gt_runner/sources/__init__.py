"""The implementations that run cases, one module for each source, imported only when a job names it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..contract import Case, Fetched

Step = Callable[[int, int], None]  # (steps done, steps in all)


@dataclass(frozen=True)
class Generated:
    """What one call gave.

    `frames` is uint8 RGB of shape (frames, height, width, 3); an image is one frame. `passed` holds the arguments that
    reached the implementation, as JSON (an image is described, not held), `dropped` the names that it does not take.
    """

    frames: NDArray[np.uint8]
    passed: dict[str, Any]
    dropped: list[str] = field(default_factory=list)


class Loaded(Protocol):
    """A model that is loaded and can run cases of its load spec, one after the other."""

    pipeline: str  # class name of the official pipeline

    def generate(self, case: Case, inputs: list[Path], step: Step) -> Generated:
        """Run one case. Raises whatever the implementation raises; the worker turns it into a failed case."""
        ...


class Implementation(Protocol):
    """What a module of this package offers."""

    def load(self, case: Case, fetched: Fetched, device: str) -> Loaded:
        """Load what `load_spec(case)` asks for on `device` ("cuda" or "cpu").

        Raises SourceError where the implementation is not installed or lacks what the case names.
        """
        ...


SOURCES: tuple[str, ...] = ("diffusers", "wan21", "wan22", "ltx", "smoke")


def implementation(name: str) -> Implementation:
    """The module of a source. Raises SourceError for a name that is none of ours."""
    if name not in SOURCES:
        raise SourceError(f"no source is named {name!r}; there are {', '.join(SOURCES)}")
    return cast("Implementation", importlib.import_module(f"{__name__}.{name}"))
