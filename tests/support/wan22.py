"""A tiny case of the Wan2.2 source, and where the repository is, if it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.support.wan import CALL, RUNTIME, changed, checkout

if TYPE_CHECKING:
    from pathlib import Path

    from gt_runner.contract import Case

PIN = "42bf4cfaa384bc21833865abc2f9e6c0e67233dc"
CHECKOUT, with_checkout = checkout("GT_WAN22_CHECKOUT", "Wan-Video/Wan2.2", PIN)
SIZE, AREA = {"width": 64, "height": 32}, {"max_area": 2048}


def make(*, image: bool = False, **changes: Any) -> Case:
    """A case of text to video, or of an image."""
    parts = {
        "source": "wan22",
        "config": "ti2v-5B",
        "code": {"repo": "Wan-Video/Wan2.2", "commit": PIN, "paths": ["."]},
        "inputs": [{"path": "picture.png"}] if image else [],
        "call": CALL | (AREA if image else SIZE),
        "runtime": RUNTIME | {"convert_model_dtype": False},
    }
    return changed(parts, changes)


def picture(path: Path, size: tuple[int, int], *, mode: str = "RGB", seed: int = 3) -> Path:
    """Write a coarse picture of this width and height."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, len(mode)), dtype=np.uint8)
    Image.fromarray(coarse, mode=mode).resize(size, Image.Resampling.BICUBIC).save(path)
    return path
