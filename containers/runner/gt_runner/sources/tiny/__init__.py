"""Tiny pipelines of real Diffusers classes: random weights, drawn on the spot, that make soft pictures of blobs."""

from __future__ import annotations

import difflib
from pathlib import Path

from ...errors import SourceError
from . import flux, flux2, wan

PIPELINES = {"FluxPipeline": flux.pipeline, "Flux2KleinPipeline": flux2.klein, "WanPipeline": wan.pipeline}


def build(class_name: str, folder: Path, seed: int) -> None:
    """Save a pipeline of this class into a folder, a few MB; the same seed gives the same files.

    Raises SourceError for a class that is none of PIPELINES.
    """
    make = PIPELINES.get(class_name)
    if make is None:
        matches = difflib.get_close_matches(class_name, PIPELINES, n=1)
        hint = f"did you mean {matches[0]}?" if matches else f"allowed: {', '.join(sorted(PIPELINES))}"
        raise SourceError(f"no tiny model of the class {class_name!r} can be built; {hint}")
    make(seed).save_pretrained(folder)
