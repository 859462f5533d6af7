"""What measures work on: luma, and smaller copies of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gt_pictures.reading import Rgb

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

Plane = NDArray[np.float32]  # (height, width), 0..1


def luma(rgb: Rgb) -> Plane:
    """Luma, 0..1."""
    plane: Plane = (rgb.astype(np.float32) @ LUMA) / np.float32(255)
    return plane


def shrunk(image: Image.Image, side: int) -> Rgb:
    """A bicubic copy that is at most so many pixels a side; never larger than the image."""
    copy = image.copy()
    copy.thumbnail((side, side), Image.Resampling.BICUBIC)
    return np.asarray(copy)


def resized(image: Image.Image, size: tuple[int, int]) -> Rgb:
    """A bicubic copy of this width and height."""
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))
