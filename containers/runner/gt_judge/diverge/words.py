"""The verdict on a case in one sentence, the facts beside it, and the table of stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..text import number, printable
from . import stages, unseen
from .dtypes import short
from .measures import Apart
from .result import CaseResult, Divergence, StageResult, Status
from .tolerances import Limit
from .trace import CaseTrace, every

PLURAL = ("prompt_embeds", "negative_prompt_embeds", "timesteps", "sigmas", "latents")
CLOSE = 0.02  # a relative error that a reader may take for rounding
Steps = tuple[int | None, int | None]


def verdict(case: CaseResult, steps: Steps, because: StageResult | None) -> str:
    """One sentence: what is equal, what rounding explains, and where the two first differ.

    `because`: a stage that stands before the first one and differs on account of it.
    """
    if case.first is None:
        return printable(_same(case.stages))
    before = case.stages[: case.stages.index(case.first)]
    parts = [*_equal(before), *_within(before), *_layouts(before), _difference(case.first, because)]
    sentence = f"{', '.join(parts)}: {_cause(case, case.first, steps)}"
    return printable(sentence)


def _same(results: Sequence[StageResult]) -> str:
    """Where nothing differs beyond tolerance."""
    compared = [stage for stage in results if stage.compared]
    laid = [stage for stage in compared if stage.layout]
    within = [stage for stage in compared if stage.status == Status.WITHIN]
    tail = f", and the other's layout was undone: {laid[0].name} {_are(laid[0])} {laid[0].layout}" if laid else ""
    unlike = [stage for stage in compared if stage.apart is None or not stage.apart.same]
    if not unlike:
        every = "the only stage that both have is" if len(compared) == 1 else f"all {len(compared)} stages are"
        return f"{every} equal, bit for bit{tail}"
    first, most = unlike[0], max(unlike, key=lambda stage: stage.by or 0)
    words = f"nothing differs beyond its tolerance, {first.name} {_are(first)} the first that {_are(first)} not equal"
    words += f", by {number(first.by or 0)}{_explained(first)}"
    if most is not first and within:
        words += f", and {most.name} {_differ(most)} most, by {number(most.by or 0)}{_explained(most)}"
    return words + tail


def _equal(before: Sequence[StageResult]) -> Iterator[str]:
    equal = [stage for stage in before if stage.status == Status.EQUAL]
    if equal:
        names = list(_grouped(equal))
        yield f"{_listed(names)} {'are' if len(names) > 1 else _are(equal[-1])} equal"


def _grouped(results: Sequence[StageResult]) -> Iterator[str]:
    """Names; those of many steps as one."""
    groups = groupby(results, lambda stage: (stages.loop(stage.name), stages.family(stage.name) in stages.LOOPED))
    for (number_, looped), group in groups:
        names = [stage.name for stage in group]
        if looped and len(names) > 2:  # noqa: PLR2004
            yield f"the loop{'' if number_ == 1 else f' {number_}'} up to {names[-1]}"
        else:
            yield from names


def _within(before: Sequence[StageResult]) -> Iterator[str]:
    within = [stage for stage in before if stage.status == Status.WITHIN]
    if not within:
        return
    most = max(within, key=lambda stage: stage.by or 0)
    words = f"{most.name} {_differ(most)} by {number(most.by or 0)}{_explained(most)}"
    others = len(within) - 1
    yield f"{words} and {others} other{'s' if others > 1 else ''} by less" if others else words


def _layouts(before: Sequence[StageResult]) -> Iterator[str]:
    laid = [stage for stage in before if stage.status == Status.LAYOUT]
    if laid:
        names = _listed(list(_grouped(laid)))
        yield f"{names} {'are' if len(laid) > 1 else _are(laid[0])} equal but for the layout"


def _difference(first: StageResult, because: StageResult | None) -> str:
    if not first.compared:
        return f"{first.name} {_are(first)} {first.note.split(':')[0]}"
    words = f"{first.name} {_differ(first)}"
    if first.status == Status.LAYOUT:
        words += " in the layout"
    elif first.apart is not None and first.apart.relative == 0:
        words += f" in {_in_what(first.apart)}"
    elif first.by is not None:
        words += f" by {number(first.by)}{_tolerance(first)}"
    else:
        words += " in the shape"
    if because is not None:
        by = f" by {number(because.by)}" if because.by is not None else ""
        words += f", and with {'them' if _are(first) == 'are' else 'it'} {because.name}{by}"
    return words


def _in_what(apart: Apart) -> str:
    """What differs where no finite value does."""
    if apart.lost:
        return "values that are not finite"
    return "the dtype" if apart.same else "the sign of zeros"


def _tolerance(first: StageResult) -> str:
    limit, apart = first.limit, first.apart
    if limit is None or apart is None:
        return ""
    if limit.value and apart.relative <= limit.value:
        return f" on the whole, but one element by {number(apart.peak)} of its size ({limit.why} of the whole)"
    return f" ({limit.why})" if apart.relative < max(4 * limit.value, CLOSE) else ""


def _cause(case: CaseResult, first: StageResult, steps: Steps) -> str:
    parts = [stages.source(first.name)] if first.compared else []
    parts += [case.confusion] if case.confusion else []
    if first.status == Status.LAYOUT:
        rest = case.stages[case.stages.index(first) :]
        difference = next((stage for stage in rest if stage.status == Status.DIFFERS), None)
        if difference is not None:
            by = f" by {number(difference.by)}" if difference.by is not None else ""
            parts.append(f"beyond the layout {difference.name} {_differ(difference)} first{by}")
    parts += _unseen(case, first, steps)
    if all(steps) and steps[0] != steps[1]:
        parts.append(f"the other ran {steps[1]} steps, the reference {steps[0]}")
    return "; ".join(parts) or "one of the two has no more"


def _unseen(case: CaseResult, first: StageResult, steps: Steps) -> Iterator[str]:
    """What was not compared before the first difference, so that it may have begun there."""
    names = list(unseen.before(case.stages, first, max(filter(None, steps), default=None))) if first.compared else []
    if names:
        many = len(names) > 1 or stages.family(names[0]) in PLURAL or names[0].startswith("steps")
        yield f"{_listed(names)} {'were' if many else 'was'} not compared, and it may have begun there"


def facts(case: CaseResult, steps: Steps, traces: tuple[CaseTrace, CaseTrace]) -> Iterator[str]:
    """What a reader must know beside the verdict: what could not be compared, and why."""
    if all(steps) and steps[0] != steps[1]:
        yield f"the reference ran {steps[0]} steps, the other {steps[1]}"
    one, two = (every(trace.case.every) for trace in traces)
    if one != two:
        yield f"the reference holds {one}, the other {two}: the steps that both have were compared"
    missing = [stage for stage in case.stages if not stage.compared]
    for note, group in groupby(sorted(missing, key=lambda stage: stage.note), lambda stage: stage.note):
        names = [stage.name for stage in group]
        some = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")  # noqa: PLR2004
        yield printable(f"not compared: {some} ({note})")
    for stage in case.stages:
        if stage.compared and stage.note and stage is not case.first:
            yield printable(f"{stage.name}: {stage.note}")
    pairs = [stage for stage in case.stages if stage.compared and stage.dtypes[0] != stage.dtypes[1]]
    if pairs:
        some = ", ".join(stage.name for stage in pairs[:4])
        dtypes = " and ".join(short(dtype) for dtype in pairs[0].dtypes)
        yield f"of different dtypes: {some}{' …' if len(pairs) > 4 else ''} ({dtypes} in {pairs[0].name})"  # noqa: PLR2004


HEADINGS = ("stage", "", "rel. error", "tolerance", "max abs", "mean abs", "cosine", "PSNR dB", "equal", "dtype")


def rows(case: CaseResult) -> Iterator[tuple[str, ...]]:
    """A row for each stage that both have."""
    for stage in case.stages:
        if not stage.compared:
            continue
        mark = "first" if stage is case.first else stage.status.value
        dtypes = list(dict.fromkeys(short(dtype) for dtype in stage.dtypes))
        figures = ("",) * 7 if stage.apart is None else _figures(stage.apart, stage.limit)
        yield stage.name, mark, *figures, " / ".join(dtypes)


def _figures(apart: Apart, limit: Limit | None) -> tuple[str, ...]:
    return (
        number(apart.relative),
        "" if limit is None else number(limit.value),
        number(apart.largest),
        number(apart.mean),
        "" if apart.cosine is None else f"{apart.cosine:.6f}",
        "" if apart.psnr is None else f"{apart.psnr:.1f}",
        f"{100 * apart.equal:.2f} %" if apart.equal < 1 else "100 %",
    )


def table(case: CaseResult) -> str:
    """The stages of a case for a terminal."""
    lines = [HEADINGS, *rows(case)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if column in (0, 1) else word.rjust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def text(divergence: Divergence) -> str:
    """Every case: verdict, facts, table."""
    parts = [
        "\n".join([f"{case.name}: {case.verdict}", *(f"  {fact}" for fact in case.facts), "", table(case)])
        for case in divergence.cases
    ]
    sides = zip(("reference", "other"), divergence.only_in, strict=True)
    parts += [f"cases that only the {side} has: {', '.join(names)}" for side, names in sides if names]
    return printable("\n\n".join(parts)) + "\n"


def _explained(stage: StageResult) -> str:
    return f" ({stage.limit.why})" if stage.limit is not None else ""


def _are(stage: StageResult) -> str:
    return "are" if stages.family(stage.name) in PLURAL else "is"


def _differ(stage: StageResult) -> str:
    return "differ" if stages.family(stage.name) in PLURAL else "differs"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
