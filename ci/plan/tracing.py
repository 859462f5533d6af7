"""What a trace keeps, and how large it will be, before anything runs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil
from typing import Any, Final

from ..catalogue.model import Case
from ..catalogue.native import ServingCase
from ..catalogue.official import LtxCase
from ..errors import GtError, near

# The stages by their first names; `gt_trace` says what is below each.
STAGES: Final = (
    *("prompt_embeds", "negative_prompt_embeds", "condition", "noise", "timesteps", "sigmas"),
    *("latents", "model_output", "decoded"),
)
LOOP = re.compile(r"stage_\d+\.")
STEP = re.compile(r"(?:latents|model_output)\.(\d+)$")
COLORS = 3


@dataclass(frozen=True)
class Latents:
    """The latents of a family of models: what a trace's size follows from."""

    channels: int
    side: int  # pixels a side of one position
    frames: int = 1  # frames of one position; the first frame has one of its own
    bytes: int = 2  # of a value, as the scheduler sees it
    prompt: int = 512 * 4096  # values of an encoded prompt, at most
    images: int = 1  # that are denoised together


# By the longest start of a pipeline's class; else by source. Configurations of the models' own repositories.
FAMILIES = {
    "Flux": Latents(16, 8),
    "Flux2": Latents(32, 8, prompt=512 * 15360),
    "QwenImage": Latents(16, 8, prompt=1024 * 3584),
    "QwenImageLayered": Latents(16, 8, prompt=1024 * 3584, images=5),
    "StableDiffusion": Latents(4, 8, prompt=77 * 2048),
    "StableDiffusion3": Latents(16, 8, prompt=333 * 4096),
    "Wan": Latents(16, 8, 4, bytes=4),
    "ZImage": Latents(16, 8, bytes=4, prompt=512 * 2560),
    "wan21": Latents(16, 8, 4, bytes=4),
    "wan22": Latents(48, 16, 4, bytes=4),
    "ltx": Latents(128, 32, 8, prompt=1024 * 4096),
}
UNKNOWN = Latents(16, 8, bytes=4)
SIDE = 1024  # pixels, where inputs or the pipeline decide


@dataclass(frozen=True)
class Tracing:
    """Which stages are kept, and of how many steps one."""

    stages: tuple[str, ...] = ()
    every: int = 1

    def check(self, cases: Iterable[Case]) -> None:
        """Raises GtError for a stage that there is none of, a bound that keeps nothing, and a native case."""
        for pattern in self.stages:
            first = LOOP.sub("", pattern, count=1).split(".")[0]
            if not any(fnmatchcase(stage, first) for stage in STAGES):
                raise GtError(f"no stage is named {pattern!r}; {near(first, STAGES)}")
        if self.every < 1:
            raise GtError(f"--every {self.every} keeps no step; give 1 for all, or a larger number")
        omissions = [pattern for pattern in self.stages if self._leaves_out(pattern)]
        if omissions:
            raise GtError(f"--stages {omissions[0]} names a step that --every {self.every} leaves out; leave one out")
        ids = [case.id for case in cases if isinstance(case.spec, ServingCase)]
        if ids:
            raise GtError(
                f"a serving engine makes {', '.join(ids)} itself, in a process that is not looked into: trace "
                "official cases with --official; docs/run/trace.md says how an engine writes a trace"
            )

    def as_runner_reads_it(self, folder: str, version: str) -> dict[str, Any]:
        """The same for the runner, which writes to `folder`."""
        return {"folder": folder, "stages": list(self.stages), "every": self.every, "version": version}

    def bytes(self, cases: Iterable[Case]) -> int:
        """Bytes of the traces of these cases: what real weights may come to."""
        return sum(size for case in cases for stage, size in _sizes(case) if self.wants(stage))

    def wants(self, stage: str) -> bool:
        """Whether a stage is kept: the rule of `gt_trace`, which cannot be imported where there is no torch."""
        if self._leaves_out(stage):
            return False
        base = LOOP.sub("", stage, count=1)
        return not self.stages or any(
            fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")
            for name in (stage, base)
            for pattern in self.stages
        )

    def unmet(self, cases: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """A line for each stage that was asked for and none of these traced cases has: what `trace.json` says of it."""
        for pattern in self.stages:
            wanted, reasons = Tracing((pattern,)), defaultdict[str, list[str]](list)
            if any(wanted.wants(stage) for case in cases.values() for stage in case["stages"]):
                continue
            for name, case in cases.items():
                reasons[case["absent"][pattern]].append(name)
            yield from (f"--stages {pattern}: not in {', '.join(names)}: {reason}" for reason, names in reasons.items())

    def _leaves_out(self, stage: str) -> bool:
        step = STEP.search(stage)
        return step is not None and int(step[1]) % self.every != 0


def _sizes(case: Case) -> Iterator[tuple[str, int]]:
    """Each stage of a case, with its bytes."""
    call: Mapping[str, Any] = case.data()["call"]
    family = _family(case)
    width, height = call.get("width") or SIDE, call.get("height") or SIDE
    frames = call.get("num_frames") or 1
    scales = [(1, int(call["num_inference_steps"]))]
    if isinstance(case.spec, LtxCase) and call.get("stage_2_sigmas"):
        scales = [(2, scales[0][1]), (1, len(call["stage_2_sigmas"]) - 1)]
    prompt = family.prompt * 2
    yield "prompt_embeds", prompt
    if "negative_prompt" in call:
        yield "negative_prompt_embeds", prompt
    for loop, (divisor, steps) in enumerate(scales, start=1):
        positions = ceil(width / divisor / family.side) * ceil(height / divisor / family.side)
        latents = positions * (1 + ceil((frames - 1) / family.frames)) * family.images * family.channels * family.bytes
        prefix = f"stage_{loop}." if loop > 1 else ""
        yield from ((f"{prefix}condition.{number}", latents) for number in range(len(case.inputs)))
        if not prefix:
            yield "noise", latents
        for step in range(steps):
            yield f"{prefix}latents.{step}", latents
            yield f"{prefix}model_output.{step}", latents
        yield f"{prefix}latents.final", latents
    yield "decoded", width * height * frames * family.images * COLORS * family.bytes


def _family(case: Case) -> Latents:
    pipeline = case.data().get("pipeline", "")
    prefixes = [start for start in FAMILIES if pipeline.startswith(start)]
    return FAMILIES[max(prefixes, key=len)] if prefixes else FAMILIES.get(case.source, UNKNOWN)
