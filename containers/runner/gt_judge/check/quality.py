"""What can be measured of an image alone. The first six are upstream's; `gate.yaml` says what each means."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from skimage.restoration import estimate_sigma

from gt_pictures.reading import Picture

from ..planes import Plane, luma, shrunk

SIDE = 256  # pixels a side of the copy that is measured
BINS = 32
BLUR_RADIUS = 3  # pixels
LOW_RADIUS = 0.08  # of the shorter side
FINE, COARSE = (1 / 4, 1 / 2), (1 / 64, 1 / 16)  # cycles per pixel
FLAT = 1e-12  # spectral power that counts as none

Metrics = dict[str, float]


def measure(picture: Picture) -> Metrics:
    """All metrics of one image, by name."""
    rgb = shrunk(picture.opaque, SIDE)
    plane = luma(rgb)
    steps = np.concatenate([np.abs(np.diff(plane, axis=axis)).ravel() for axis in (1, 0)])
    return {
        "luminance_std": float(plane.std()),
        "entropy": _entropy(plane),
        "blur_residual": _blur_residual(rgb),
        "gradient_p95": float(np.percentile(steps, 95)),
        "neighbour_correlation": _neighbour_correlation(plane),
        "low_frequency_ratio": _low_frequency_ratio(plane),
        "fine_detail": detail(plane, FINE, COARSE),
        "grain": grain(picture),
    }


def _entropy(plane: Plane) -> float:
    counts, _ = np.histogram(plane, bins=BINS, range=(0, 1))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum() / np.log2(BINS))


def _blur_residual(rgb: NDArray[np.uint8]) -> float:
    blur = np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(BLUR_RADIUS)), dtype=np.float32)
    return float(np.abs(rgb.astype(np.float32) - blur).mean() / 255)


def _neighbour_correlation(plane: Plane) -> float:
    pairs = ((plane[:, 1:], plane[:, :-1]), (plane[1:, :], plane[:-1, :]))
    return sum(_pearson(one, other) for one, other in pairs) / len(pairs)


def _pearson(one: Plane, other: Plane) -> float:
    if min(one.std(), other.std()) < 1e-6:  # noqa: PLR2004  # flat, as upstream has it
        return 1.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _low_frequency_ratio(plane: Plane) -> float:
    power = np.abs(np.fft.fftshift(np.fft.fft2(plane - plane.mean()))) ** 2
    height, width = plane.shape
    y, x = np.ogrid[:height, :width]
    low = np.hypot(y - height // 2, x - width // 2) <= LOW_RADIUS * min(height, width)
    total = power.sum()
    return float(power[low].sum() / total) if total >= FLAT else 0.0


def detail(plane: Plane, fine: tuple[float, float], coarse: tuple[float, float]) -> float:
    """Spectral power of fine structure over that of coarse structure, log10; bands in cycles per pixel.

    A photograph and a drawing fall off gently towards fine structure, a blurred one falls off a cliff. The Hann window
    keeps the borders, where the image meets its own repetition, from passing for detail.
    """
    height, width = plane.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.rfft2((plane - plane.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    part, whole = (power[(frequency > low) & (frequency <= high)].sum() for low, high in (fine, coarse))
    return float(np.log10((part + FLAT) / (whole + FLAT)))


def grain(picture: Picture) -> float:
    """The standard deviation of noise in luma, 0..255, as wavelets estimate it at full size."""
    with warnings.catch_warnings():  # a plane without any fine structure leaves it nothing to take a mean of
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.nan_to_num(estimate_sigma(luma(picture.rgb))) * 255)
