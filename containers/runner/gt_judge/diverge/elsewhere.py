"""Confusions that another stage explains: exchanged prompts, a step too early, both predictions in one tensor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..text import number
from . import stages
from .confusion import Difference, fit, part, same
from .trace import CaseTrace, Tensor

NEIGHBOURS = (1, -1, 2, -2)  # steps that are looked at
TWO = 2  # predictions in a batch with guidance


def equals(difference: Difference) -> str | None:
    """The other's tensor is another stage of the reference."""
    return equal_stage(difference.stage, difference.other, difference.traces[0], difference.near)


def equal_stage(stage: str, other: Tensor, reference: CaseTrace, limit: float) -> str | None:
    """The same for a tensor that may have another shape than the reference's."""
    for name in _candidates(stage, reference):
        if reference.shapes[name] == other.shape and same(reference[name], other, limit):
            return _explained(stage, name)
    return None


def _candidates(stage: str, reference: CaseTrace) -> Iterator[str]:
    family = stages.family(stage)
    names = [name for name in reference.shapes if name != stage]
    if family in stages.PROMPTS:
        yield from (name for name in names if stages.family(name) in stages.PROMPTS)
    elif family == "condition":
        yield from (name for name in names if stages.family(name) == "condition")
    elif family in stages.LOOPED or family == "noise":
        at = stages.step(stage)
        near = [stages.at_step(stage, at + by) for by in NEIGHBOURS] if at is not None else []
        if stage.endswith(".final"):
            steps = [stages.step(name) or 0 for name in names if stages.family(name) == "latents"]
            near += [stages.at_step(stage, max(steps, default=0))]
        near += [stages.beside(stage, name) for name in ("noise", "latents.0", "latents.final")]
        yield from (name for name in near if name in names)


def _explained(stage: str, name: str) -> str:
    words = f"it equals the reference's {name}"
    families = {stages.family(stage), stages.family(name)}
    if families == set(stages.PROMPTS):
        return f"{words}: prompt and negative prompt are exchanged (guidance order)"
    if families == {"condition"}:
        return f"{words}: the input images are in another order"
    one, two = stages.step(stage), stages.step(name)
    if stage.endswith(".final") and two is not None:
        return f"{words}: the last step was left out"
    if families <= set(stages.LOOPED) and one is not None and two is not None:
        return f"{words}: off by {'one' if abs(two - one) == 1 else abs(two - one)} in steps"
    return words


def another_prediction(difference: Difference) -> str | None:
    """A model output that is a sum of the reference's and of the latents: x0 or noise instead of the velocity."""
    latents = difference.beside(f"latents.{stages.step(difference.stage)}")
    if stages.family(difference.stage) != "model_output" or latents is None or latents.size != difference.other.size:
        return None
    result = fit(difference.other, [difference.reference, latents])
    output, start, _ = result.factors
    if result.error > difference.near or abs(start) <= 4 * difference.near:
        return None
    return (
        f"the other is {number(output)} times the reference plus {number(start)} times the latents: "
        "another kind of prediction (noise, x0 or velocity)"
    )


def batched(
    stage: str, reference: Tensor, other: Tensor, traces: tuple[CaseTrace, CaseTrace], limit: float
) -> str | None:
    """One of the two has both halves of guidance in a batch."""
    pairs = (("the other", reference, other, traces[0]), ("the reference", other, reference, traces[1]))
    for name, one, both, trace in pairs:
        if both.ndim != one.ndim or both.shape[1:] != one.shape[1:] or both.shape[0] != TWO * one.shape[0]:
            continue
        first, second = np.split(both, TWO)
        words = f"{name} holds two in a batch"
        if same(one, second, limit):
            return f"{words}, {'twice the same' if same(one, first, limit) else 'the negative one first'}"
        if same(one, first, limit):
            return f"{words}, the negative one last"
        if stages.family(stage) == "model_output":
            return _before_guidance(words, one, first, second, limit)
        negative = f"negative_{stage}"
        if negative in trace and trace[negative].shape == first.shape and same(trace[negative], first, limit):
            return f"{words}, the negative one first, and its second half differs"
    return None


def _before_guidance(words: str, output: Tensor, first: Tensor, second: Tensor, limit: float) -> str:
    result = fit(output, [first, second])
    scale = result.factors[1]
    if result.error > limit or abs(sum(result.factors[:2]) - 1) > 0.02:  # noqa: PLR2004  # two bytes round
        return f"{words}: the predictions before guidance"
    order = "negative first" if scale > 1 else "negative last"
    return f"{words}: the predictions before guidance, {order}; the guidance scale is {max(scale, 1 - scale):.3g}"


def cut(stage: str, reference: Tensor, other: Tensor, limit: float) -> str | None:
    """One is the beginning or the end of the other along one axis: tokens were cut or filled up. Else the sizes."""
    if reference.ndim != other.ndim:
        return None
    axes = [axis for axis, sizes in enumerate(zip(reference.shape, other.shape, strict=True)) if sizes[0] != sizes[1]]
    if len(axes) != 1:
        return None
    (axis,) = axes
    count = min(reference.shape[axis], other.shape[axis])
    words = f"{other.shape[axis]} instead of {reference.shape[axis]} along axis {axis}"
    for name, places in (("first", slice(0, count)), ("last", slice(-count, None))):
        if count and same(part(reference, axis, places), part(other, axis, places), limit):
            rank = "" if max(reference.shape[axis], other.shape[axis]) % count else ", or the part of one rank"
            return f"{words}; the {name} {count} are equal: cut or filled up to another length{rank}"
    is_text = stages.family(stage) in stages.PROMPTS and axis == reference.ndim - TWO
    beginning = another_text(reference, other) if is_text and count else ""
    return f"{words}; {beginning}" if beginning else words


def another_text(reference: Tensor, other: Tensor) -> str:
    """How many tokens are equal before two prompts part; empty where the first ones differ."""
    count = min(reference.shape[-TWO], other.shape[-TWO])
    equal = (reference[..., :count, :] == other[..., :count, :]).all(axis=-1).reshape(-1, count).all(axis=0)
    first = int(equal.argmin())
    return f"the first {first} of {count} tokens are equal, what follows is another text" if first else ""
