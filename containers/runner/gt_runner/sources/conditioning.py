"""The rules that size input images and output, as upstream's generator applies them where a case gives no size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

AREA = 1024 * 1024  # pixels
GRID = 16  # output sides are multiples of it: the VAE's factor of 8, and patches of 2


def condition(rule: str, images: Sequence[Image.Image]) -> tuple[list[Image.Image], dict[str, Any]]:
    """Prepare input images by a case's rule; returns them and the `width` and `height` that follow from the last one.

    - `flux`: shrunk to at most 1024 * 1024 pixels, sides floored to multiples of 16, inputs resized with LANCZOS.
    - `qwen_edit`: output of 1024 * 1024 pixels at the input's aspect ratio; the inputs stay as they are.
    - `qwen_layered`: as `qwen_edit`, which the pipeline ignores for its own resolution; the inputs become RGBA.
    - `raw`: nothing but RGB.
    """
    if rule == "raw":
        return [image.convert("RGB") for image in images], {}
    if rule == "flux":
        colours = [image.convert("RGBA" if image.has_transparency_data else "RGB") for image in images]
        prepared = [image.resize(flux_size(*image.size), Image.Resampling.LANCZOS) for image in colours]
        width, height = prepared[-1].size
    else:
        mode = "RGBA" if rule == "qwen_layered" else "RGB"
        prepared = [image.convert(mode) for image in images]
        width, height = qwen_size(*images[-1].size)
    return prepared, {"width": width, "height": height}


def described(image: Image.Image) -> dict[str, Any]:
    """An image that is an argument, as JSON."""
    return {"mode": image.mode, "width": image.width, "height": image.height}


def flux_size(width: int, height: int) -> tuple[int, int]:
    """Size in pixels by the rule of FLUX: at most 1024 * 1024 pixels, on the grid."""
    if width * height > AREA:
        scale = math.sqrt(AREA / (width * height))
        width, height = int(width * scale), int(height * scale)
    return width // GRID * GRID, height // GRID * GRID


def qwen_size(width: int, height: int) -> tuple[int, int]:
    """Size in pixels by the rule of the Qwen edit family: 1024 * 1024 pixels at this aspect ratio, rounded to 32."""
    ratio = width / height
    wide = math.sqrt(AREA * ratio)
    return round(wide / 32) * 32 // GRID * GRID, round(wide / ratio / 32) * 32 // GRID * GRID
