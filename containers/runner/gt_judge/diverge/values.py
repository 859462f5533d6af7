"""Confusions that can be seen in the values of one stage: scaled, shifted, mirrored, rounded, never set."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..text import number
from . import stages
from .confusion import Difference, fit, part
from .dtypes import finer, short
from .measures import rms
from .tolerances import explained
from .trace import Tensor

KNOWN = {  # (factor, constant): what multiplies and adds so
    (1 / 1000, 0): "steps from 0 to 1 instead of 0 to 1000",
    (1000, 0): "steps from 0 to 1000 instead of 0 to 1",
    (0.5, 0.5): "the range 0..1 instead of -1..1",
    (2, -1): "the range -1..1 instead of 0..1",
    (127.5, 127.5): "the range 0..255 instead of -1..1",
    (255, 0): "the range 0..255 instead of 0..1",
    (-1, 0): "the sign is turned",
}
SCALES = {  # scaling factor and shift of a VAE: latents = (encoded - shift) * scaling
    "Stable Diffusion's": (0.18215, 0.0),
    "SDXL's": (0.13025, 0.0),
    "SD3's": (1.5305, 0.0609),
    "FLUX.1's": (0.3611, 0.1159),
}
CHANNELS = (2, 256)  # axes that may be channels, by their length
PER_CHANNEL = 8  # elements that a channel must have: two figures are fitted to them
COLOURS = 3
CLOSE = 0.002  # relative, of a factor to a known one


def empty(difference: Difference) -> str | None:
    """All zeros, or one value throughout."""
    for name, tensor in (("reference", difference.reference), ("other", difference.other)):
        if tensor.size > 1 and (tensor == tensor.reshape(-1)[0]).all():
            unset = ": it was never set" if name == "other" else ""
            return f"the {name} holds {number(float(tensor.reshape(-1)[0]))} throughout{unset}"
    return None


def scaled(difference: Difference) -> str | None:
    """The other is the reference times a factor, plus a constant."""
    result = fit(difference.other, [difference.reference])
    factor, constant = result.factors
    if result.error > difference.near or abs(factor) < difference.near:
        return None
    size = abs(factor) * rms(difference.reference)
    if abs(constant) <= size * max(CLOSE, 10 * difference.near / math.sqrt(difference.reference.size)):
        constant = 0.0
    if not constant and abs(factor - 1) <= difference.near:
        return None
    sum_ = f"the reference times {factor:.5g}"
    if constant:
        sum_ = f"{sum_} {'plus' if constant > 0 else 'minus'} {abs(constant):.4g}"
    why = _known(factor, constant, difference.stage)
    return f"the other is {sum_}{f': {why}' if why else ''}"


def _known(factor: float, constant: float, stage: str) -> str:
    for (multiple, plus), words in KNOWN.items():
        if abs(factor / multiple - 1) < CLOSE and abs(constant - plus) < CLOSE * max(1, abs(plus)):
            return words
    if stages.family(stage) in stages.SCHEDULE:
        return ""
    for name, (scaling, shift) in SCALES.items():
        what = "scaling and shift" if constant and shift else "scaling"
        if abs(factor / scaling - 1) < CLOSE:
            return f"{name} VAE {what}, applied in the other alone"
        if abs(factor * scaling - 1) < CLOSE:
            return f"{name} VAE {what}, applied in the reference or undone in the other alone"
    if stages.family(stage) == "noise" or stages.is_first_latents(stage):
        return "the first noise is scaled otherwise"
    return "" if stages.family(stage) == "model_output" else "the VAE's scaling and shift, applied on one side only"


def scaled_channels(difference: Difference) -> str | None:
    """Each channel has a factor and a constant of its own."""
    reference, other = difference.reference, difference.other
    for axis, size in enumerate(reference.shape):
        if not CHANNELS[0] <= size <= CHANNELS[1] or reference.size // size < PER_CHANNEL:
            continue
        pairs = zip(np.moveaxis(reference, axis, 0), np.moveaxis(other, axis, 0), strict=True)
        if all(fit(theirs, [ours]).error <= difference.near for ours, theirs in pairs):
            return (
                f"each of the {size} entries of axis {axis} is scaled and shifted by figures of its own: "
                "the mean and the standard deviation of the VAE's channels, applied on one side only"
            )
    return None


def moved(difference: Difference) -> str | None:
    """Halves exchanged, mirrored, or shifted by one along an axis."""
    reference, other = difference.reference, difference.other
    for axis, size in enumerate(reference.shape):
        if size == 1:
            continue
        for words, tensor in _moves(other, axis, size):
            if difference.holds(reference, tensor):
                return words
        for words, ours, theirs in (
            ("one place later", slice(0, -1), slice(1, None)),
            ("one place earlier", slice(1, None), slice(0, -1)),
        ):
            if size > COLOURS and difference.holds(part(reference, axis, ours), part(other, axis, theirs)):
                return f"the other's values lie {words} along axis {axis}: off by one"
    return None


def _moves(other: Tensor, axis: int, size: int) -> Iterator[tuple[str, Tensor]]:
    if size % 2 == 0:
        half = np.roll(other, size // 2, axis)
        if axis == 0:
            yield "the two halves of the batch are exchanged: guidance order, negative first on one side only", half
        else:
            yield f"the two halves of axis {axis} are exchanged", half
    mirror = np.flip(other, axis)
    yield "red and blue are exchanged" if size == COLOURS else f"axis {axis} is mirrored", mirror


def clipped(difference: Difference) -> str | None:
    """One side is the other, clipped to a range."""
    one, two = difference.reference, difference.other
    for name, whole, cut in (("the other", one, two), ("the reference", two, one)):
        with np.errstate(invalid="ignore"):  # bfloat16 warns of NaN
            (low, high), (least, most) = ((float(side.min()), float(side.max())) for side in (cut, whole))
            if (low > least or high < most) and difference.holds(cut, whole.clip(low, high)):
                return f"{name} is clipped to {number(low)}..{number(high)}"
    return None


def coarser(difference: Difference) -> str | None:
    """One side holds values of a coarser dtype, whether or not that explains all of the difference."""
    if difference.dtypes[0] == difference.dtypes[1]:
        return None
    one, two = map(short, difference.dtypes)
    return f"the other's values are those of {two}, the reference's of {one}"


def rounded(difference: Difference) -> str | None:
    """One side was computed in a coarser dtype, which explains the difference."""
    if difference.dtypes[0] == difference.dtypes[1]:
        return None
    coarse = int(difference.dtypes[0] == finer(difference.dtypes))
    limit = explained(difference.stage, difference.dtypes[coarse])
    if difference.apart.relative > limit:
        return None
    sides, dtypes = ("reference", "other"), [short(dtype) for dtype in difference.dtypes]
    return (
        f"the {sides[coarse]} was computed in {dtypes[coarse]}, the {sides[1 - coarse]} in {dtypes[1 - coarse]}; "
        f"{dtypes[coarse]} rounding explains {number(limit)}"
    )
