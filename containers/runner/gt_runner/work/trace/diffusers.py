"""Where the stages of a Diffusers pipeline are."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from gt_trace import CaseTrace

from ...sources.diffusers import LoadedDiffusers
from ...sources.hooks import replaced

ABSENT: dict[str, str] = {}
IMAGE, VIDEO = "batch, channels, height, width", "batch, channels, frames, height, width"
AXES = {2: "batch, channels", 3: "batch, tokens, channels", 4: IMAGE, 5: VIDEO}
# By the start of a class's name, what differs from AXES.
NOISE = {"QwenImage": "batch, frames, channels, height, width", "Flux2": "batch, channels x 2 x 2, height, width"}
UNPATCHED = "LTX"  # packs single positions of a latent, not squares of 2 x 2


@contextmanager
def watch(trace: CaseTrace, loaded: LoadedDiffusers) -> Iterator[None]:
    """While open, what the pipeline's encoders, scheduler and decoder give is added to the trace."""
    pipeline = loaded.official
    with ExitStack() as hooks:

        def replace(owner: Any, name: str, watched: Callable[..., Any]) -> None:
            if hasattr(owner, name):
                hooks.enter_context(replaced(owner, name, watched))

        if hasattr(pipeline, "encode_prompt"):
            replace(pipeline, "encode_prompt", _prompts(trace, pipeline.encode_prompt))
        vae: Any = getattr(pipeline, "vae", None)
        if hasattr(pipeline, "_encode_vae_image"):
            replace(pipeline, "_encode_vae_image", _conditions(trace, pipeline._encode_vae_image))
        elif hasattr(vae, "encode"):
            replace(vae, "encode", _conditions(trace, vae.encode))
        if hasattr(vae, "decode"):
            replace(vae, "decode", _decoded(trace, vae.decode))
        if hasattr(getattr(pipeline, "scheduler", None), "step"):
            hooks.enter_context(trace.steps(pipeline.scheduler, layout=_layout(pipeline), phase="denoise"))
        yield


def noise_layout(loaded: LoadedDiffusers) -> str:
    """The axes of the noise as the generator gives it."""
    name = type(loaded.official).__name__
    special = next((axes for start, axes in NOISE.items() if name.startswith(start)), None)
    return special or (VIDEO if hasattr(loaded.official, "video_processor") else IMAGE)


def _layout(pipeline: Any) -> str:
    """The axes of the latents as the scheduler sees them."""
    if hasattr(pipeline, "_pack_latents"):
        unpatched = type(pipeline).__name__.startswith(UNPATCHED)
        return f"packed: batch, tokens, channels{'' if unpatched else ' x 2 x 2'}"
    return VIDEO if hasattr(pipeline, "video_processor") else IMAGE


def _prompts(trace: CaseTrace, official: Callable[..., Any]) -> Callable[..., Any]:
    """Pipelines encode prompt and negative prompt in one call, or in two: the second is the negative one then."""
    names, calls = _returned(official), 0
    in_one = any(name.startswith("negative") for name in names)

    def encode_prompt(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        result = official(*args, **kwargs)
        calls += 1
        values = result if isinstance(result, tuple) else (result,)
        for name, value in zip(names, values, strict=False):
            tensor = value[0] if isinstance(value, list) and len(value) == 1 else value
            stage = _prompt_stage(name, negative=calls > 1 and not in_one, encoder=calls if in_one else 1)
            if stage is not None and torch.is_tensor(tensor):
                layout = "tokens, channels" if value is not tensor else AXES.get(tensor.ndim, "")
                trace.add(stage, tensor, layout=layout, phase="encode")
        return result

    return encode_prompt


def _returned(function: Callable[..., Any]) -> list[str]:
    """The names of what a function returns, as its source writes them: Diffusers names its prompts by them alone."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    last = returned[-1] if returned else None
    parts = last.elts if isinstance(last, ast.Tuple) else [last]
    return [part.id if isinstance(part, ast.Name) else "" for part in parts]


def _prompt_stage(name: str, *, negative: bool, encoder: int) -> str | None:
    """The stage of a variable, such as `negative_pooled_prompt_embeds`; None for masks, positions and the like."""
    bare = name.removeprefix("negative_")
    numbered = re.fullmatch(r"(pooled_)?prompt_embeds(?:_(\d))?", bare)
    if numbered is None:
        return None
    stage = "negative_prompt_embeds" if negative or bare != name else "prompt_embeds"
    number = int(numbered[2] or encoder)
    return stage + (f".{number}" if number > 1 else "") + (".pooled" if numbered[1] else "")


def _conditions(trace: CaseTrace, official: Callable[..., Any]) -> Callable[..., Any]:
    count = 0

    def encode(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        result = official(*args, **kwargs)
        latents = _latents(result)
        if torch.is_tensor(latents):
            trace.add(f"condition.{count}", latents, layout=AXES.get(latents.ndim, ""), phase="encode")
            count += 1
        return result

    return encode


def _latents(output: Any) -> Any:
    """The latents of what an autoencoder gives; the mode of a distribution, which draws no noise."""
    first = output[0] if isinstance(output, tuple) else output
    distribution: Any = getattr(first, "latent_dist", first)
    return distribution.mode() if hasattr(distribution, "parameters") else getattr(first, "latents", first)


def _decoded(trace: CaseTrace, official: Callable[..., Any]) -> Callable[..., Any]:
    def decode(*args: Any, **kwargs: Any) -> Any:
        result = official(*args, **kwargs)
        image = result[0] if isinstance(result, tuple) else getattr(result, "sample", result)
        if torch.is_tensor(image):
            trace.add("decoded", image, layout=AXES.get(image.ndim, ""), phase="decode")
        return result

    return decode
