"""Builds tiny random-weight pipelines of real Diffusers classes on the spot, and runs them as any other pipeline."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

from ..contract import Case, Fetched
from .diffusers import LoadedDiffusers, from_folder
from .tiny import build


def load(case: Case, fetched: Fetched, device: str) -> LoadedDiffusers:
    """Build the pipeline that the case names and load it. Raises SourceError for a class that cannot be built."""
    model = cast("dict[str, object]", case["model"])
    with tempfile.TemporaryDirectory() as folder:
        build(str(model["tiny"]), Path(folder), int(cast("int", model.get("seed", 0))))
        return from_folder(Path(folder), case, fetched, device)
