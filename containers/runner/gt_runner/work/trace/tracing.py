"""Traces one case, where the run asks for it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...contract import Case
from ...sources import Loaded
from ...tasks import Tracing

if TYPE_CHECKING:
    from gt_trace import CaseTrace

WATCHERS = {"smoke": "diffusers", "wan21": "wan", "wan22": "wan"}  # where a source's stages are, if not under its name
# By the name in `absent`, a stage that stands for all of that name.
STAGES = {
    "prompt_embeds": "prompt_embeds",
    "negative_prompt_embeds": "negative_prompt_embeds",
    "condition": "condition.0",
    "noise": "noise",
    "timesteps": "timesteps",
    "sigmas": "sigmas",
    "latents": "latents.0",
    "model_output": "model_output.0",
    "latents.final": "latents.final",
    "decoded": "decoded",
}


@contextmanager
def traced(request: Tracing | None, case: Case, loaded: Loaded) -> Iterator[Callable[[Any], None]]:
    """While open, keeps the stages of a case that are asked for, and writes them at the end; changes no bit.

    Gives what is to be called with the first noise. Nothing is written where the block raises.
    """
    if request is None:
        yield lambda _: None
        return
    from gt_trace import Trace  # noqa: PLC0415  # it imports torch, which a source may do without

    watcher = importlib.import_module(f"{__package__}.{WATCHERS.get(case['source'], case['source'])}")
    folder = Trace(request["folder"], name="diffusion-gt", version=request["version"])
    with folder.case(case["id"], stages=request["stages"], every=request["every"]) as trace:
        with watcher.watch(trace, loaded):
            layout = watcher.noise_layout(loaded)

            def drew(tensor: Any) -> None:
                if not case.get("latents"):  # what is drawn is not used then
                    trace.add("noise", tensor, layout=layout, phase="prepare")

            yield drew
        _name_absent(trace, case, watcher.ABSENT)
        _name_unmet(trace, request["stages"])


def _name_absent(trace: CaseTrace, case: Case, causes: dict[str, str]) -> None:
    """Say why a stage that was asked for is not there."""
    reasons = {
        "condition": "" if case.get("inputs") else "the case has no input image",
        "negative_prompt_embeds": "the run encodes no negative prompt",
        "noise": "the case gives its latents" if case.get("latents") else "",
        **causes,
    }
    for name, stage in STAGES.items():
        if trace.wants(stage) and stage not in trace.tensors:
            trace.absent[name] = reasons.get(name) or "it was not seen where this source has it"


def _name_unmet(trace: CaseTrace, patterns: Sequence[str]) -> None:
    """Say why a name or pattern that was asked for keeps nothing."""
    from gt_trace import matches  # noqa: PLC0415  # as above

    for pattern in patterns:
        if any(matches(stage, pattern) for stage in trace.tensors):
            continue
        causes = (why for name, why in trace.absent.items() if matches(STAGES.get(name, name), pattern))
        left_out = any(matches(stage, pattern) for stage in trace.seen)
        other = "its steps are left out by --every" if left_out else f"the run has {_listed(trace.seen)}"
        trace.absent[pattern] = next(causes, other)


def _listed(stages: Iterable[str]) -> str:
    """The names in words; of the steps of a loop the first and the last: `latents.0 to latents.7`."""
    families: dict[str, list[str]] = {}
    for stage in stages:
        families.setdefault(re.sub(r"\.\d+$", "", stage), []).append(stage)
    return ", ".join(names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}" for names in families.values())
