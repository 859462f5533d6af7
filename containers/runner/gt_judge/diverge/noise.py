"""Confusions of the first noise: another generator, the same values in another order."""

from __future__ import annotations

import math

import numpy as np

from . import stages
from .confusion import Difference
from .elsewhere import another_text
from .trace import floats
from .values import PER_CHANNEL

UNRELATED = 4  # standard deviations of the cosine of two independent noises
LIKE = 6  # standard errors that mean and deviation of the same distribution may be apart
FEW = 16  # elements that say nothing


def reordered(difference: Difference) -> str | None:
    """The same values, each as often, in another order."""
    one, two = difference.reference.reshape(-1), difference.other.reshape(-1)
    if one.dtype != two.dtype or one.size < FEW or not np.array_equal(np.sort(one), np.sort(two)):
        return None
    return "the other holds the same values in another order"


def begun_alike(difference: Difference) -> str | None:
    """The beginning is equal: of a noise, that was drawn in another shape, or of a text, that goes on otherwise."""
    if stages.family(difference.stage) in stages.PROMPTS:
        return another_text(difference.reference, difference.other) if difference.reference.ndim > 1 else None
    equal = difference.reference == difference.other
    count = int(equal.reshape(-1).argmin())
    if not is_noise(difference.stage) or count < FEW:
        return None
    return f"the first {count:,} of {equal.size:,} values are equal: what follows was drawn otherwise"


def is_noise(stage: str) -> bool:
    """Whether a stage is the first noise, in one form or the other."""
    return stages.family(stage) == "noise" or stages.is_first_latents(stage)


def another(difference: Difference) -> str | None:
    """Another noise of the same distribution."""
    if not is_noise(difference.stage):
        return None
    one, two = floats(difference.reference), floats(difference.other)
    count = one.size
    if count < PER_CHANNEL or difference.apart.cosine is None:
        return None
    cosine = float(np.corrcoef(one, two)[0, 1])
    deviation = max(float(one.std()), 1e-30)
    near = LIKE / math.sqrt(count)
    alike = abs(one.mean() - two.mean()) / deviation < near and abs(two.std() / deviation - 1) < near
    if not alike or not abs(cosine) < max(UNRELATED / math.sqrt(count), 0.05):
        return None
    figures = f"mean {two.mean():.2g}, deviation {two.std():.3g}, correlation {cosine:.2g}"
    return (
        f"another noise with equal statistics ({figures}): another seed, generator or device, or something was drawn "
        "before it"
    )
