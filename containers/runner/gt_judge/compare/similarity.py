"""How far two images of one shape are apart, as upstream measures an engine's output; no resizing, ever."""

from __future__ import annotations

import math

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ..errors import JudgeError
from ..pictures import Rgb

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
}

Values = dict[str, float | None]


class ShapeError(JudgeError):
    """Two images that cannot be compared pixel by pixel."""


def measure(new: Rgb, other: Rgb) -> Values:
    """SSIM, PSNR (None: infinite) and mean absolute difference. Raises ShapeError."""
    if new.shape != other.shape:
        raise ShapeError(f"{_size(new)} px against {_size(other)} px")
    if min(new.shape[:2]) < WINDOW:
        raise ShapeError(f"{_size(new)} px is less than the window of SSIM, {WINDOW} px a side")
    if np.array_equal(new, other):
        return {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}
    psnr = float(peak_signal_noise_ratio(other, new, data_range=RANGE))
    return {
        "ssim": float(structural_similarity(other, new, channel_axis=-1, data_range=RANGE)),
        "psnr": psnr if math.isfinite(psnr) else None,
        "mean_abs_diff": float(np.abs(new.astype(np.float64) - other.astype(np.float64)).mean()),
    }


def _size(rgb: Rgb) -> str:
    return f"{rgb.shape[1]}x{rgb.shape[0]}"
