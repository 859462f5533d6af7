"""What a stage is made from and no comparison has seen, so that a difference may have begun there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import stages
from .result import StageResult

BEGIN = -1  # the place before the first latents of a loop


def before(results: Sequence[StageResult], first: StageResult, steps: int | None) -> Iterator[str]:
    """The names of what stands between the first stage that differs and what was compared before it.

    `steps`: how many the first loop ran, where that is said.
    """
    end = _End(results, steps)
    until = end.place(first.name)
    if until is None:
        if stages.family(first.name) in stages.SCHEDULE:
            both = [stages.beside(first.name, name) for name in stages.SCHEDULE]
            yield from (stage.name for stage in results if stage.name in both and not stage.compared)
        return
    names = [stage.name for stage in results[: results.index(first)] if stage.compared]
    places = [place for name in names if (place := end.place(name)) is not None]
    last = max(places, default=(1, BEGIN))
    yield from _drawn(results, set(names), last, until)
    for loop in range(last[0], until[0] + 1):
        start = last[1] if loop == last[0] else BEGIN
        yield from _steps(loop, start + 1, until[1] if loop == until[0] else end.of(loop) + 1, end.of(loop))


class _End:
    """Places in the loops of a run: latents.K is 2 K, model_output.K 2 K + 1, then come latents.final and decoded."""

    def __init__(self, results: Sequence[StageResult], steps: int | None) -> None:
        self._counts: dict[int, int] = {1: steps or 0}
        for stage in results:
            step, loop = stages.step(stage.name), stages.loop(stage.name)
            if loop != stages.UNKNOWN:
                self._counts[loop] = max(self._counts.get(loop, 0), 0 if step is None else step + 1)

    def of(self, loop: int) -> int:
        """The place of latents.final."""
        return 2 * self._counts.get(loop, 0)

    def place(self, stage: str) -> tuple[int, int] | None:
        """Loop and place; None for what is in no loop, nor made by one."""
        family, step, loop = stages.family(stage), stages.step(stage), stages.loop(stage)
        if step is not None:
            return loop, 2 * step + stages.LOOPED.index(family)
        if family == "decoded":
            loop = loop if stage.startswith("stage_") else max(self._counts)
            return loop, self.of(loop) + 1
        return (loop, self.of(loop)) if stage.endswith("latents.final") else None


def _drawn(
    results: Sequence[StageResult], compared: set[str], last: tuple[int, int], until: tuple[int, int]
) -> Iterator[str]:
    """What goes into the loops, as far as no later stage has shown that it is the same."""
    by_prompt = last <= (1, 0) < until
    names = [*(["noise"] if last == (1, BEGIN) else []), *(["prompt_embeds"] if by_prompt else [])]
    families = [*stages.SCHEDULE, *(["condition"] if last <= (1, 0) else []), *(stages.PROMPTS if by_prompt else [])]
    missing = [stage.name for stage in results if not stage.compared and stages.loop(stage.name) <= until[0]]
    names += [name for name in missing if stages.family(name) in families]
    yield from (name for name in dict.fromkeys(names) if name not in compared)


def _steps(loop: int, start: int, stop: int, end: int) -> Iterator[str]:
    """Places of a loop in words: a whole step, several as one, or half of one."""
    prefix = "" if loop == 1 else f"stage_{loop}."
    places = range(start, min(stop, end))
    whole = [place // 2 for place in places if place % 2 == 0 and place + 1 in places]
    if places and places[0] % 2:
        yield f"{prefix}model_output.{places[0] // 2}"
    if whole:
        of = "" if loop == 1 else f" of loop {loop}"
        yield f"step {whole[0]}{of}" if len(whole) == 1 else f"steps {whole[0]} to {whole[-1]}{of}"
    if places and places[-1] % 2 == 0:
        yield f"{prefix}latents.{places[-1] // 2}"
    if start <= end < stop:
        yield f"{prefix}latents.final"
