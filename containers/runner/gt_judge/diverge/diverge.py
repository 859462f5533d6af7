"""Compares two traces: which stage of each case is the first that differs, and what is known to make it differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import JudgeError
from . import elsewhere, noise, schedule, stages, values, words
from .confusion import Difference
from .result import CaseResult, Divergence, StageResult, Status
from .tolerances import explained
from .trace import Trace
from .walk import Options, Walk, tensors

# From the most particular explanation to the most general: the first that holds is told.
CONFUSIONS: Sequence[Callable[[Difference], str | None]] = (
    values.empty,
    elsewhere.equals,
    values.rounded,
    schedule.off_by_one,
    schedule.shifted,
    values.moved,
    values.scaled,
    values.scaled_channels,
    values.clipped,
    elsewhere.another_prediction,
    schedule.step_length,
    noise.begun_alike,
    noise.reordered,
    noise.another,
    values.coarser,
)


def diverge(reference: Trace, other: Trace, options: Options, cases: Sequence[str] = ()) -> Divergence:
    """Compare every case that both have, or those named. Raises JudgeError where there is nothing to compare."""
    names = [list(trace.index.cases) for trace in (reference, other)]
    common = [name for name in names[0] if name in names[1]]
    for case in cases:
        for trace in (reference, other):
            if case not in trace.index.cases:
                raise JudgeError(f"{trace.folder} holds no case {case}; it has {_some(list(trace.index.cases))}")
    if not common:
        raise JudgeError(f"no case is in both: the reference has {_some(names[0])}, the other {_some(names[1])}")
    rest = [[name for name in each if name not in common] for each in names]
    return Divergence(
        [_case(name, reference, other, options) for name in common if not cases or name in cases],
        only_in=(rest[0], rest[1]),
        producers=(reference.producer, other.producer),
        exact=options.exact,
        dtype=options.dtype,
    )


def _some(names: Sequence[str]) -> str:
    words = ", ".join(names[:5])
    return f"{words}{', …' if len(names) > 5 else ''}" if names else "none"  # noqa: PLR2004


def _case(name: str, reference: Trace, other: Trace, options: Options) -> CaseResult:
    with reference.open(name) as ours, other.open(name) as theirs:
        walk = Walk((ours, theirs), options)
        case = CaseResult(name, list(walk.stages()))
        if not any(stage.compared for stage in case.stages):
            raise JudgeError(f"{name}: no stage is in both traces; docs/judge/traces.md has their names")
        case.first, because = _first(case.stages, walk)
        case.confusion = _confusion(case.first, walk) if case.first is not None else ""
        steps = (ours.case.steps, theirs.case.steps)
        if case.first is None and len(set(steps)) > 1 and all(steps):
            case.first = _after_the_end(case.stages, min(filter(None, steps)))
        case.facts = list(words.facts(case, steps, walk.traces))
        case.verdict = words.verdict(case, steps, because)
        return case


def _first(results: Sequence[StageResult], walk: Walk) -> tuple[StageResult | None, StageResult | None]:
    """The stage where the difference began, and one before it that differs because of it."""
    differences = [stage for stage in results if stage.status == Status.DIFFERS]
    layouts = [stage for stage in results if stage.status == Status.LAYOUT and _is_difference(stage, walk, differences)]
    if not differences or (layouts and results.index(layouts[0]) < results.index(differences[0])):
        return (layouts[0] if layouts else None), None
    first = differences[0]
    for stage in differences[1:]:
        if _began_with(first, stage, walk):
            return stage, first
    return first, None


def _is_difference(stage: StageResult, walk: Walk, differences: Sequence[StageResult]) -> bool:
    """Whether a layout counts: always where it shows in no shape, else where something differs after it."""
    if walk.options.exact:
        return True
    return not stage.on_purpose and (len(set(stage.shapes)) == 1 or bool(differences))


def _began_with(first: StageResult, later: StageResult, walk: Walk) -> bool:
    """Whether a stage that comes later in the order of names is what the first one was made from."""
    family = stages.family(first.name)
    if family == "timesteps" and later.name == stages.beside(first.name, "sigmas"):
        return all(schedule.follows(trace[first.name], trace[later.name]) for trace in walk.traces)
    # A text encoder may see the input image; what encodes the image never sees the text.
    return stages.family(later.name) == "condition" and family in stages.PROMPTS and not _is_own(first, walk)


def _is_own(prompt: StageResult, walk: Walk) -> bool:
    """Whether a prompt differs for a reason of its own, which no input image gives: it was exchanged or rounded."""
    pair = tensors(prompt, walk)
    if pair is None or prompt.apart is None:
        reference, other = walk.traces
        near = explained(prompt.name, "float32")
        return elsewhere.equal_stage(prompt.name, other[prompt.name], reference, near) is not None
    difference = Difference(prompt.name, *pair, prompt.apart, walk.traces)
    return (elsewhere.equals(difference) or values.rounded(difference)) is not None


def _confusion(result: StageResult, walk: Walk) -> str:
    """The first explanation that holds; the note where the tensors cannot be compared."""
    if result.apart is None or result.apart.lost:
        return result.note
    if not result.apart.relative and result.status == Status.DIFFERS:
        return "the values are equal"
    if result.status == Status.LAYOUT:
        return f"the same values in another layout: {result.layout}"
    pair = tensors(result, walk)
    if pair is None:
        return ""
    difference = Difference(result.name, *pair, result.apart, walk.traces)
    return next(filter(None, (confusion(difference) for confusion in CONFUSIONS)), "")


def _after_the_end(results: list[StageResult], steps: int) -> StageResult | None:
    """The first step that only one of the two ran; None where both end in equal latents."""
    name = f"latents.{steps}"
    place = next(
        (at for at, stage in enumerate(results) if stages.order(stage.name) >= stages.order(name)), len(results)
    )
    if any(stage.compared and stages.family(stage.name) in (*stages.LOOPED, "decoded") for stage in results[place:]):
        return None
    if place == len(results) or stages.step(results[place].name) is None:
        results.insert(place, StageResult(name, Status.MISSING, note="in neither trace"))
    return results[place]
