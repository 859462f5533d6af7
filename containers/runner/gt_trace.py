"""Writes traces: the tensors of a run of a diffusion model, stage by stage, to find where two runs first differ.

This file needs nothing but torch and safetensors. Copy it into your engine:

    from gt_trace import Trace

    with Trace("traces", name="my-engine", version="1.2").case("flux_image_t2i") as trace:
        trace.add("prompt_embeds", prompt_embeds)
        trace.add("noise", noise)
        with trace.steps(pipeline.scheduler):  # timesteps, sigmas, latents.K, model_output.K, latents.final
            latents = denoise(...)
        trace.add("decoded", image)

Without a scheduler object, add `latents.K` and `model_output.K` yourself. The folder gets `trace.json` and a
`<case>.safetensors` for each case. A copy of a tensor is all that is taken: no bit of the run changes.
"""

from __future__ import annotations

import ctypes
import fcntl
import fnmatch
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file

SCHEMA_VERSION = 1
INDEX = "trace.json"
LOOP = re.compile(r"stage_\d+\.")  # the prefix of a second and later loop of a run
STEP = re.compile(r"(?:latents|model_output)\.(\d+)$")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Trace:
    """A folder of traces. Several processes may write to one folder at once, but not on NFS."""

    def __init__(self, folder: str | Path, *, name: str, version: str) -> None:
        self._folder, self._producer = Path(folder), {"name": name, "version": version}

    @contextmanager
    def case(self, name: str, *, stages: Sequence[str] = (), every: int = 1) -> Iterator[CaseTrace]:
        """Trace one case; it is written when the block ends, and not at all where the block raises.

        `stages` are names or patterns (`latents.*`) of what is kept; none: everything. A name stands for what is below
        it too: `prompt_embeds` for `prompt_embeds.pooled`. `every`: the steps 0, N, 2 N … are kept.
        """
        if not NAME.fullmatch(name) or every < 1:
            raise ValueError(f"case {name!r} is no name of a file, or every {every} is below 1")
        trace = CaseTrace(stages, every)
        yield trace
        self._write(name, trace)

    def _write(self, name: str, trace: CaseTrace) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file, index = self._folder / f"{name}.safetensors", self._folder / INDEX
        with TemporaryDirectory(dir=self._folder) as folder:  # of this writer alone: ranks may write the same case
            part = Path(folder) / file.name
            save_file(trace.tensors, part)
            part.chmod(0o644)  # safetensors keeps it to its owner
            with part.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            entry = {"file": file.name, "sha256": digest, **trace.description()}
            with self._locked():
                entries = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {"cases": {}}
                entries |= {"schema_version": SCHEMA_VERSION, "producer": self._producer}
                entries["cases"][name] = entry
                part.replace(file)
                part = Path(folder) / INDEX
                part.write_text(json.dumps(entries, indent=2, allow_nan=False) + "\n", encoding="utf-8")
                part.replace(index)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # NFS locks no folder: there, only one process may write at a time
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


class CaseTrace:
    """The stages of one case, in the order in which they were added."""

    def __init__(self, stages: Sequence[str], every: int) -> None:
        self._stages, self._every = stages, every
        self._words: dict[str, dict[str, str]] = {}
        self._steps = 0
        self.tensors: dict[str, torch.Tensor] = {}
        self.seen: dict[str, None] = {}  # the stages that the run has, kept or not
        self.absent: dict[str, str] = {}  # by stage: why the run does not give it

    def add(self, stage: str, tensor: torch.Tensor, *, layout: str = "", phase: str = "") -> None:
        """Keep a copy of a tensor, if the stage is wanted. The first tensor of a name stays.

        `layout` names the axes in words (`packed: batch, tokens, channels x 2 x 2`), `phase` the part of the run.
        """
        step = STEP.search(stage)
        if step and not LOOP.match(stage):
            self._steps = max(self._steps, int(step[1]) + 1)
        if self.sees(stage) and stage not in self.tensors:
            self.tensors[stage] = tensor.detach().to("cpu", copy=True).contiguous()
            words = {"layout": layout, "phase": phase}
            self._words[stage] = {name: text for name, text in words.items() if text}

    def sees(self, stage: str) -> bool:
        """Remember that the run has a stage, and say whether it is kept."""
        self.seen.setdefault(stage)
        return self.wants(stage)

    def wants(self, stage: str) -> bool:
        """Whether a stage is kept."""
        step = STEP.search(stage)
        if step and int(step[1]) % self._every:
            return False
        return not self._stages or any(matches(stage, pattern) for pattern in self._stages)

    @contextmanager
    def steps(self, scheduler: Any, *, layout: str = "", phase: str = "") -> Iterator[None]:
        """While open, each `scheduler.step(model_output, timestep, sample, …)` is traced; of a class, by any object.

        A loop ends after `len(scheduler.timesteps)` steps; what follows is the next loop (`stage_2.`).
        """
        loop = Loop(self, layout=layout, phase=phase)
        owner: Any = scheduler if isinstance(scheduler, type) else type(scheduler)
        own, official = "step" in vars(owner), owner.step
        steps_to_go = 0

        def step(this: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal steps_to_go
            if this is not scheduler and owner is not scheduler:  # another object, such as a copy for the sound
                return official(this, *args, **kwargs)
            inputs = dict(zip(("model_output", "timestep", "sample"), args, strict=False)) | kwargs
            if not steps_to_go:
                loop.begin(timesteps=this.timesteps, sigmas=getattr(this, "sigmas", None))
                steps_to_go = len(this.timesteps)
            loop.before(inputs["sample"], inputs["model_output"])
            result = official(this, *args, **kwargs)
            loop.after(result if torch.is_tensor(result) else result[0])
            steps_to_go -= 1
            if not steps_to_go:
                loop.end()
            return result

        owner.step = step  # of the class: an object that the pipeline copies would take a step of its own along
        try:
            yield
        finally:
            if own:
                owner.step = official
            else:
                del owner.step
        loop.end()

    def description(self) -> dict[str, Any]:
        """What `trace.json` says of the case, beside its file."""
        stages = {stage: _described(tensor) | self._words[stage] for stage, tensor in self.tensors.items()}
        return {"steps": self._steps, "every": self._every, "absent": self.absent, "stages": stages}


class Loop:
    """Names what the steps of the loops of a run get and give; those of a second loop start with `stage_2.`."""

    def __init__(self, trace: CaseTrace, *, layout: str = "", phase: str = "") -> None:
        self._trace, self._layout, self._phase = trace, layout, phase
        self._count = self._done = 0
        self._last: torch.Tensor | None = None

    @property
    def prefix(self) -> str:
        """What the names of this loop's stages start with; before the first, those of the first."""
        return f"stage_{self._count}." if self._count > 1 else ""

    @property
    def following(self) -> str:
        """The prefix of the next loop."""
        return f"stage_{self._count + 1}." if self._count else ""

    def begin(self, *, timesteps: Any = None, sigmas: Any = None) -> None:
        """Begin a loop, with its schedule."""
        self.end()
        self._count, self._done = self._count + 1, 0
        for name, values in (("timesteps", timesteps), ("sigmas", sigmas)):
            if values is not None:
                self._trace.add(self.prefix + name, torch.as_tensor(values), layout="steps", phase=self._phase)

    def before(self, latents: torch.Tensor, model_output: torch.Tensor) -> None:
        """Add what a step gets."""
        for stage, tensor in (("latents", latents), ("model_output", model_output)):
            name = f"{self.prefix}{stage}.{self._done}"
            self._trace.add(name, tensor, layout=self._layout, phase=self._phase)
        self._done += 1

    def after(self, latents: torch.Tensor) -> None:
        """Remember what a step gives; a copy, since the pipeline may change it in place."""
        if self._trace.sees(f"{self.prefix}latents.final"):
            self._last = latents.detach().clone()

    def end(self) -> None:
        """Add what the last step gave."""
        if self._last is not None:
            self._trace.add(f"{self.prefix}latents.final", self._last, layout=self._layout, phase=self._phase)
        self._last = None


def matches(stage: str, pattern: str) -> bool:
    """Whether a name or pattern means a stage, or what it is below; a later loop's also without its prefix."""
    names = (stage, LOOP.sub("", stage, count=1))
    return any(fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern}.") for name in names)


def _described(tensor: torch.Tensor) -> dict[str, Any]:
    values = tensor.double()
    figures = dict.fromkeys(("mean", "std", "min", "max"), math.nan)
    if tensor.numel():
        results = (values.mean(), values.std(correction=0), values.min(), values.max())
        figures = dict(zip(figures, map(float, results), strict=True))
    size = tensor.numel() * tensor.element_size()
    content = (ctypes.c_char * size).from_address(tensor.data_ptr()) if size else b""
    return {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "sha256": hashlib.sha256(content).hexdigest(),
        **{name: figure if math.isfinite(figure) else None for name, figure in figures.items()},  # JSON has no NaN
    }
