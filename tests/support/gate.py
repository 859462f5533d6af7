"""Upstream's quality gate, by its own definitions: what it refuses as low detail or as random noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Plane = NDArray[np.float64]

SIDE = 256  # pixels, at most; what the metrics work on


def problems(image: Image.Image) -> list[str]:
    """What the gate has against an image; empty if it passes."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    rgb = np.asarray(small, float)
    luma = rgb @ np.array([0.299, 0.587, 0.114]) / 255
    residual = float(np.abs(rgb - np.asarray(small.filter(ImageFilter.GaussianBlur(3)), float)).mean() / 255)
    flat = float(luma.std()) < 0.075 and _entropy(luma) < 0.55 and (residual < 0.035 or _gradient_p95(luma) < 0.045)
    noisy = _neighbours(luma) < 0.55 and _low_frequencies(luma) < 0.20 and residual > 0.045
    return [name for name, fails in (("low detail", flat), ("random noise", noisy)) if fails]


def _entropy(luma: Plane) -> float:
    """Of a histogram of 32 bins, 0..1."""
    counts, _ = np.histogram(luma, 32, (0, 1))
    shares = counts[counts > 0] / luma.size
    return float(-(shares * np.log2(shares)).sum() / 5)


def _gradient_p95(luma: Plane) -> float:
    steps = np.concatenate([np.abs(np.diff(luma, axis=axis)).ravel() for axis in (0, 1)])
    return float(np.percentile(steps, 95))


def _neighbours(luma: Plane) -> float:
    """Mean correlation of adjacent pixels across and down; 1 if flat."""
    if luma.std() == 0:
        return 1.0
    pairs = ((luma[:, 1:], luma[:, :-1]), (luma[1:], luma[:-1]))
    return float(np.mean([np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]))


def _low_frequencies(luma: Plane) -> float:
    """Share of the spectral power within 0.08 of the shorter side."""
    power = np.abs(np.fft.fftshift(np.fft.fft2(luma - luma.mean()))) ** 2
    height, width = luma.shape
    down, across = np.mgrid[:height, :width]
    near = np.hypot(down - height // 2, across - width // 2) <= 0.08 * min(height, width)
    return float(power[near].sum() / max(power.sum(), 1e-12))
