"""Runs tiny pipelines of real Diffusers classes: those trained to draw shapes, which lie here, or random ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import diffusers

from ..contract import Case, Fetched
from ..errors import SourceError
from .diffusers import LoadedDiffusers, from_folder
from .tiny import build

SHAPES = Path(__file__).parent / "shapes"  # `training` makes them
DRAWING = ("FluxPipeline", "FluxKontextPipeline")  # the classes that take these weights


def load(case: Case, fetched: Fetched, device: str) -> LoadedDiffusers:
    """Load the pipeline that the case names: with a seed random weights of it, else those trained to draw shapes.

    Raises SourceError for a class that there are no weights of.
    """
    model = cast("dict[str, object]", case["model"])
    name = str(model["tiny"])
    if model.get("seed") is not None:
        with tempfile.TemporaryDirectory() as folder:
            build(name, Path(folder), int(cast("int", model["seed"])))
            return from_folder(Path(folder), case, fetched, device)
    if name not in DRAWING:
        names = " and ".join(DRAWING)
        raise SourceError(f"{name!r} has no weights that draw shapes, as {names} have; model.seed gives random ones")
    return from_folder(SHAPES, case, fetched, device, getattr(diffusers, name))
