"""Images for the report: small enough to be carried along, and maps of where two images differ."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gt_pictures.errors import PictureError
from gt_pictures.reading import Rgb, read

from ...pool import each
from ..result import FileResult

SIDES = (1024, 768, 512, 384, 256, 192)  # pixels a side, the most that is embedded
BUDGET = 30e6  # bytes of all images together, about
BYTES_PER_PIXEL = 0.15  # of a WebP view, about
CLOSE, CLOSE_SIDE = 40, 768  # so many of the worst files are shown larger
QUALITY, MAP_QUALITY = 82, 60  # of WebP
AMPLIFIED = 4  # a difference of 64 of 255 is the brightest


@dataclass(frozen=True)
class View:
    """One embedded image."""

    data: bytes
    width: int
    height: int


Views = dict[str, View]  # by role: new, published, engine, published_map, engine_map


@dataclass(frozen=True)
class Rendering:
    """The views of one file to be made."""

    paths: dict[str, Path]
    side: int


def render(files: list[FileResult]) -> list[Views]:
    """The views of files that stand worst first."""
    renderings = [_paths(file) for file in files]
    base = side(sum(2 * len(paths) - 1 for paths in renderings))
    orders = [
        Rendering(paths, max(base, CLOSE_SIDE) if rank < CLOSE and base < CLOSE_SIDE else base)
        for rank, paths in enumerate(renderings)
    ]
    return each(_views, orders)


def side(count: int) -> int:
    """The side at which so many views stay within the budget."""
    return next((side for side in SIDES if count * side * side * BYTES_PER_PIXEL <= BUDGET), SIDES[-1])


def _paths(file: FileResult) -> dict[str, Path]:
    """What is to be seen of a file: an image that is identical to the new one is not shown twice."""
    others = (("published", file.pair.published, file.gt), ("engine", file.pair.serving, file.serving))
    return {
        "new": file.pair.new.path,
        **{role: path for role, path, measurement in others if path and measurement and not measurement.identical},
    }


def _views(rendering: Rendering) -> Views:
    pictures: dict[str, Rgb] = {}
    for role, path in rendering.paths.items():
        try:
            pictures[role] = read(path).rgb
        except PictureError:
            continue
    views = {role: _view(rgb, rendering.side, QUALITY) for role, rgb in pictures.items()}
    new = pictures.get("new")
    for role, rgb in pictures.items():
        if role != "new" and new is not None and new.shape == rgb.shape:
            views[f"{role}_map"] = _view(_map(new, rgb), rendering.side, MAP_QUALITY)
    return views


def _map(one: Rgb, other: Rgb) -> Rgb:
    """The largest difference of the three channels, black where there is none."""
    distance = np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=2)
    colours = cv2.applyColorMap(np.minimum(distance * AMPLIFIED, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(colours[..., ::-1], dtype=np.uint8)


def _view(rgb: Rgb, most: int, quality: int) -> View:
    image = Image.fromarray(rgb)
    image.thumbnail((most, most), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=2)
    return View(buffer.getvalue(), *image.size)
