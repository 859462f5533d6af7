"""How far two images of one shape are apart, as upstream measures a serving engine's output; no resizing, ever."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gt_pictures.reading import Picture, Rgb

from ..errors import JudgeError

WINDOW = 7  # pixels a side: scikit-image's default
RANGE = 255
# Which way is better, how it is measured, and its unit: part of every result.
MEASURES = {
    "ssim": {
        "better": "higher",
        "unit": "-1..1",
        "how": f"skimage.metrics.structural_similarity, channel_axis=-1, data_range={RANGE}, default window {WINDOW}",
    },
    "psnr": {
        "better": "higher",
        "unit": "dB",
        "how": f"skimage.metrics.peak_signal_noise_ratio, data_range={RANGE}; null where no pixel differs",
    },
    "mean_abs_diff": {"better": "lower", "unit": "0..255", "how": "mean absolute difference of RGB"},
    "alpha_diff": {
        "better": "lower",
        "unit": "0..255",
        "how": "mean absolute difference of alpha, if there is one",
    },
}

Values = dict[str, float | None]


class ShapeError(JudgeError):
    """Two images that cannot be compared pixel by pixel."""


def measure(new: Picture, other: Picture) -> Values:
    """As `colours`, and the mean absolute difference of alpha where one has it. Raises ShapeError."""
    values = colours(new.rgb, other.rgb)
    if new.alpha is not None or other.alpha is not None:
        opaque = np.full(new.rgb.shape[:2], RANGE, np.uint8)
        planes = [opaque if picture.alpha is None else picture.alpha for picture in (new, other)]
        values["alpha_diff"] = _mean_abs_diff(*planes)
    return values


def colours(new: Rgb, other: Rgb) -> Values:
    """SSIM, PSNR (None: infinite) and mean absolute difference of colours. Raises ShapeError."""
    if new.shape != other.shape:
        raise ShapeError(f"{_size(new)} px against {_size(other)} px")
    if np.array_equal(new, other):
        return {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}
    if min(new.shape[:2]) < WINDOW:
        raise ShapeError(f"{_size(new)} px is less than the window of SSIM, {WINDOW} px a side")
    psnr = float(peak_signal_noise_ratio(other, new, data_range=RANGE))
    return {
        "ssim": float(structural_similarity(other, new, channel_axis=-1, data_range=RANGE)),
        "psnr": psnr if math.isfinite(psnr) else None,
        "mean_abs_diff": _mean_abs_diff(new, other),
    }


def _mean_abs_diff(new: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(new.astype(np.float64) - other.astype(np.float64)).mean())


def _size(rgb: Rgb) -> str:
    return f"{rgb.shape[1]}x{rgb.shape[0]}"
