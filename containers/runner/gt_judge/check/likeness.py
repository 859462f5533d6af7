"""How like an image is to its published one: drift as upstream measures it, sharpness and noise of the same content."""

from __future__ import annotations

import cv2
import numpy as np

from gt_pictures.reading import Picture

from ..planes import Plane, luma, resized, shrunk
from .quality import SIDE, Metrics, detail, grain

CONTENT_SIDE, CONTENT_BLUR = 128, 2.5  # pixels: what is left without fine structure
FINE, COARSE = (1 / 8, 1 / 2), (1 / 256, 1 / 32)  # cycles per pixel, at full size
C1, C2 = 0.01**2, 0.03**2  # the usual constants of SSIM, for luma 0..1


def measure(new: Picture, published: Picture) -> Metrics:
    """All metrics of a pair. Sharpness and noise only where both are of one size."""
    old_rgb = shrunk(published.opaque, SIDE)
    height, width = old_rgb.shape[:2]
    new_rgb = resized(new.opaque, (width, height))
    values = {
        "global_ssim": _global_ssim(luma(old_rgb), luma(new_rgb)),
        "mean_abs_diff": float(np.abs(old_rgb.astype(np.float32) - new_rgb.astype(np.float32)).mean()),
        "content_correlation": correlation(_content(new), _content(published)),
    }
    if new.size == published.size:
        new_detail, old_detail = (detail(luma(picture.rgb), FINE, COARSE) for picture in (new, published))
        values |= {"detail_change": new_detail - old_detail, "grain_change": grain(new) - grain(published)}
    return values


def _global_ssim(old: Plane, new: Plane) -> float:
    covariance = ((old - old.mean()) * (new - new.mean())).mean()
    means = (2 * old.mean() * new.mean() + C1) / (old.mean() ** 2 + new.mean() ** 2 + C1)
    return float(means * (2 * covariance + C2) / (old.var() + new.var() + C2))


def _content(picture: Picture) -> Plane:
    plane = luma(resized(picture.opaque, (CONTENT_SIDE, CONTENT_SIDE)))
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), CONTENT_BLUR), dtype=np.float32)


def correlation(one: Plane, other: Plane) -> float:
    """Pearson's, and 0 where one of them is flat."""
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def gain(before: float, after: float) -> float:
    """The share of what was missing to a correlation of 1 that is found again; 0 where it was no gain."""
    return max(0.0, (after - before) / (1 - before)) if before < 1 else 0.0
