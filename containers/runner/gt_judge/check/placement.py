"""Whether an image is its published one in the wrong place: shifted, cropped, mirrored, turned, red for blue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image
from skimage.registration import phase_cross_correlation

from gt_pictures.reading import Picture

from ..planes import Plane, luma, resized, shrunk
from .likeness import correlation, gain
from .quality import SIDE, Metrics

SEARCH_SIDE = 192  # pixels a side of the copies that parts are looked for in
SIGNATURE_SIDE = 64
FULL, SMALL = (1.0, 8.0), (0.7, 4.0)  # Gaussian sigmas in pixels: structure is what lies between the two
LARGEST, SMALLEST, STEP = 0.985, 0.35, 0.985  # sides of the part that a cropped image shows, as shares
SAME = 0.999  # correlation of structure above which nothing is looked for
REACH = 0.5  # of a side: a larger displacement leaves too little to compare

TURNS: dict[str, Callable[[Plane], Plane]] = {
    "mirrored left to right": lambda plane: plane[:, ::-1],
    "mirrored top to bottom": lambda plane: plane[::-1],
    "turned by 180 degrees": lambda plane: plane[::-1, ::-1],
    "turned by 90 degrees": np.rot90,
    "turned by 270 degrees": lambda plane: np.rot90(plane, 3),
}


@dataclass
class Placement:
    """Metrics, and findings in words, by the rule that they belong to."""

    metrics: Metrics = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def add(self, other: Placement) -> None:
        """Take in what else was looked for."""
        self.metrics |= other.metrics
        self.words |= other.words


def structure(plane: Plane, sigmas: tuple[float, float]) -> Plane:
    """What lies between two blurs: lines and texture, neither brightness nor single pixels."""
    fine, coarse = (cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in sigmas)
    return np.asarray(fine - coarse, dtype=np.float32)


def signature(picture: Picture) -> Plane:
    """Structure in a small square, by which images of a whole set are told apart."""
    return structure(luma(resized(picture.opaque, (SIGNATURE_SIDE, SIGNATURE_SIDE))), SMALL)


def find(new: Picture, published: Picture) -> Placement:
    """Look for each mistake; only what could be looked for has a metric."""
    placement = Placement()
    if new.size == published.size:
        _shift(placement, new, published)
    _colours(placement, new, published)
    own = correlation(signature(new), signature(published))
    if own < SAME:
        _crop(placement, new.opaque, published.opaque)
        _turn(placement, signature(new), signature(published), own)
    return placement


def _shift(placement: Placement, new: Picture, published: Picture) -> None:
    reference, candidate = (structure(luma(picture.rgb), FULL) for picture in (published, new))
    height, width = reference.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    if not (reference * window).any() or not (candidate * window).any():
        return
    displacement, _, _ = phase_cross_correlation(reference * window, candidate * window, normalization="phase")
    down, right = -int(displacement[0]), -int(displacement[1])
    if abs(down) > REACH * height or abs(right) > REACH * width:
        return
    before, after = correlation(reference, candidate), correlation(*_overlap(reference, candidate, down, right))
    placement.metrics |= {
        "shift_pixels": float(np.hypot(down, right)),
        "shift_correlation": after,
        "shift_gain": gain(before, after),
    }
    placement.words["shifted"] = f"by {right} px in x and {down} px in y"


def _overlap(reference: Plane, candidate: Plane, down: int, right: int) -> tuple[Plane, Plane]:
    """The parts of both that show the same, if the candidate is the reference moved down and right."""
    height, width = reference.shape
    rows, columns = slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0))
    window = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    return reference[rows, columns], candidate[window]


def _crop(placement: Placement, new: Image.Image, published: Image.Image) -> None:
    """Look for the new image, made smaller step by step, inside of the published one."""
    whole = luma(shrunk(published, SEARCH_SIDE))
    height, width = whole.shape
    copy = new.resize((2 * width, 2 * height), Image.Resampling.BICUBIC)  # small enough to shrink it often
    reference = structure(whole, SMALL)
    before = correlation(reference, structure(luma(resized(copy, (width, height))), SMALL))
    best, best_share, share = -1.0, 1.0, LARGEST
    while share > SMALLEST:
        part = structure(luma(resized(copy, (round(width * share), round(height * share)))), SMALL)
        score = float(cv2.matchTemplate(reference, part, cv2.TM_CCOEFF_NORMED).max())
        best, best_share = max((best, best_share), (score, share))
        share *= STEP
    placement.metrics |= {"crop_correlation": best, "crop_gain": gain(before, best)}
    placement.words["cropped"] = f"to about {best_share:.0%} of each side"


def _turn(placement: Placement, new: Plane, published: Plane, own: float) -> None:
    scores = {words: correlation(np.ascontiguousarray(turn(new)), published) for words, turn in TURNS.items()}
    best = max(scores, key=lambda words: scores[words])
    placement.metrics |= {"turn_correlation": scores[best], "turn_gain": gain(own, scores[best])}
    placement.words["mirrored or turned"] = f"({best})"


def _colours(placement: Placement, new: Picture, published: Picture) -> None:
    reference = shrunk(published.opaque, SIDE).astype(np.float32)
    candidate = resized(new.opaque, (reference.shape[1], reference.shape[0])).astype(np.float32)
    before, after = np.abs(candidate - reference).mean(), np.abs(candidate[..., ::-1] - reference).mean()
    placement.metrics["colour_gain"] = max(0.0, float((before - after) / before)) if before > 0 else 0.0
