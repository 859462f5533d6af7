"""Confusions of timesteps and sigmas, and of the steps that a scheduler takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import stages
from .confusion import Difference, fit
from .trace import CaseTrace, Tensor, floats

TRAIN = 1000  # steps that timesteps count by, where they are no fractions
LIKE = 1e-3  # relative: timesteps may be whole numbers, rounded from sigmas
FEWEST = 3  # sigmas that tell a shift
TOLD_SHIFT = 2e-3  # relative: the ratios of a shift are all the same
TOLD = 0.01  # relative: lengths of steps that are told apart
ROUGH = 0.3  # relative: what rounding leaves of a short step that is added to long latents


def lengths(stage: str, reference: Tensor, other: Tensor) -> tuple[str, bool]:
    """Two schedules of different lengths: what differs, and whether that is no more than the last zero."""
    one, two = floats(reference), floats(other)
    short, long = sorted((one, two), key=len)
    which = ("other", "reference") if len(two) < len(one) else ("reference", "other")
    close = 1e-6 * max(1.0, float(np.abs(long).max(initial=0)))
    if len(long) - len(short) == 1:
        if np.allclose(long[:-1], short, atol=close):
            if long[-1] == 0:
                return f"the {which[0]} leaves out the 0 at the end", True
            return f"the {which[0]} lacks the last of {stage}: off by one", False
        if np.allclose(long[1:], short, atol=close):
            return f"the {which[0]} lacks the first of {stage}: off by one", False
    left_out = [step for step, value in enumerate(long) if not np.isclose(short, value, atol=close, rtol=0).any()]
    if len(left_out) == len(long) - len(short):
        steps = ", ".join(map(str, left_out))
        return f"the {which[0]} leaves out step{'s' if len(left_out) > 1 else ''} {steps} (from 0)", False
    return f"the other has {len(two)} {stage}, the reference {len(one)}: another number of steps", False


def shifted(difference: Difference) -> str | None:
    """The sigmas of another shift s: it makes s x / (1 + (s - 1) x) of x, which multiplies x / (1 - x) by s."""
    if stages.family(difference.stage) not in stages.SCHEDULE:
        return None
    pair = [floats(tensor) for tensor in (difference.reference, difference.other)]
    if max(float(values.max()) for values in pair) > 1 + LIKE:
        pair = [values / TRAIN for values in pair]
    one, two = pair
    inside = (one > LIKE) & (one < 1 - LIKE) & (two > LIKE) & (two < 1 - LIKE)
    if inside.sum() < FEWEST:
        return None
    ratios = _odds(two[inside]) / _odds(one[inside])
    if np.ptp(ratios) > TOLD_SHIFT * ratios.mean():
        return None
    return f"another shift of the sigmas: {ratios.mean():.4g} times the reference's"


def off_by_one(difference: Difference) -> str | None:
    """The schedule begins one step later or earlier."""
    if stages.family(difference.stage) not in stages.SCHEDULE or difference.reference.size < FEWEST:
        return None
    one, two = floats(difference.reference), floats(difference.other)
    close = 1e-5 * float(np.abs(one).max())
    if np.allclose(two[:-1], one[1:], atol=close):
        return "each step has the value of the next one: off by one"
    if np.allclose(two[1:], one[:-1], atol=close):
        return "each step has the value of the one before: off by one"
    if np.allclose(two[::-1], one, atol=close):
        return "the steps are in the reverse order"
    return None


def step_length(difference: Difference) -> str | None:
    """Latents that went another way along the same model output, and the sigmas that they took."""
    if stages.family(difference.stage) != "latents":
        return None
    before = _before(difference)
    if before is None:
        return None
    ends = (difference.reference, difference.other)
    one, two = (_length(trace, before, end) for trace, end in zip(difference.traces, ends, strict=True))
    if one is None or two is None or abs(two - one) <= TOLD * abs(one):
        return None
    words = f"the step has the length {two:.4g} instead of {one:.4g}"
    sigmas = difference.beside("sigmas")
    if sigmas is not None and sigmas.size > 1:
        widths = np.diff(floats(sigmas))
        near = int(np.abs(widths - two).argmin())
        if abs(widths[near] - two) <= TOLD * abs(two):
            distance = abs(near - before)
            off = "off by one" if distance == 1 else f"off by {distance}"
            return f"{words}: that of step {near} (from 0), {off}"
    return words


def _before(difference: Difference) -> int | None:
    """The step whose result these latents are."""
    at = stages.step(difference.stage)
    if at is None:
        steps = difference.traces[0].case.steps
        return steps - 1 if steps else None
    return at - 1 if at else None


def _length(trace: CaseTrace, at: int, result: Tensor) -> float | None:
    """The factor of the model's output in one step; None where the step is not that simple."""
    start, output = f"latents.{at}", f"model_output.{at}"
    if start not in trace or output not in trace or trace[start].size != result.size != 0:
        return None
    if trace[output].size != result.size:
        return None
    motion = floats(result) - floats(trace[start])
    line = fit(motion, [trace[output]])
    return line.factors[0] if line.error < ROUGH else None


def follows(timesteps: Tensor, sigmas: Tensor) -> bool:
    """Whether timesteps are sigmas in another unit, so that a difference of both began with the sigmas."""
    one, two = floats(timesteps), floats(sigmas)[: timesteps.size]
    return one.size == two.size >= FEWEST and fit(one, [two]).error < LIKE


def _odds(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / (1 - values)
