"""Where the stages of the LTX-2 repository are: in classes that its releases have in common."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from gt_trace import CaseTrace, Loop

from ...sources.hooks import replaced
from ...sources.ltx import LoadedLtx

ABSENT = {
    "timesteps": "the loop of LTX-2 has sigmas alone",
    "sigmas": "the second-order sampler takes its own sigmas for each half of a step",
    "latents.final": "the second-order sampler ends with a step of another kind",
}
PROMPTS = ("prompt_embeds", "negative_prompt_embeds")  # in the order in which they are encoded
VAE = "model.video_vae"
Watched = Callable[..., Any]  # gets the official function, then its arguments
PACKED, VIDEO = "packed: batch, tokens, channels", "batch, channels, frames, height, width"


@contextmanager
def watch(trace: CaseTrace, _: LoadedLtx) -> Iterator[None]:
    """While open, what the encoders, the steps and the decoder give for the picture is added to the trace.

    A model output is the denoised sample. The second-order sampler steps twice for each step, and both count.
    """
    steps, vae = (importlib.import_module(f"ltx_core.{name}") for name in ("components.diffusion_steps", VAE))
    noisers = importlib.import_module("ltx_core.components.noisers")
    prompts = importlib.import_module("ltx_core.text_encoders.gemma.embeddings_processor")
    loop = Loop(trace, layout=PACKED, phase="denoise")
    turns, decoder = _Turns(loop), _Decoder(trace, loop)
    with ExitStack() as hooks:
        for owner, name, watched in (
            (prompts.EmbeddingsProcessor, "process_hidden_states", _prompts(trace)),
            (vae.VideoEncoder, "forward", _conditions(trace, loop)),
            (noisers.GaussianNoiser, "__call__", turns.noised),
            (steps.EulerDiffusionStep, "step", turns.stepped),
            (steps.Res2sDiffusionStep, "step", turns.halved),
            (vae.VideoDecoder, "forward", decoder.whole),
            (vae.VideoDecoder, "tiled_decode", decoder.tiled),
        ):
            hooks.enter_context(replaced(owner, name, _method(watched, getattr(owner, name))))
        yield
    loop.end()


def noise_layout(_: LoadedLtx) -> str:
    """The axes of the noise as the generator gives it."""
    return PACKED


def _method(watched: Watched, official: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: watched(official, *args, **kwargs)


class _Turns:
    """Tells picture from sound: each stage noises the picture first, and each step takes the picture first."""

    def __init__(self, loop: Loop) -> None:
        self._loop, self._noised, self._stepped, self._new = loop, 0, 0, False

    def noised(self, official: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._noised % 2 == 0:
            self._new, self._stepped = True, 0
        self._noised += 1
        return official(*args, **kwargs)

    def stepped(self, official: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip(("self", "sample", "denoised_sample", "sigmas"), args, strict=False)) | kwargs
        return self._step(official, arguments, arguments["sigmas"], args, kwargs)

    def halved(self, official: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip(("self", "sample", "denoised_sample"), args, strict=False)) | kwargs
        return self._step(official, arguments, None, args, kwargs)

    def _step(self, official: Callable[..., Any], arguments: Any, sigmas: Any, args: Any, kwargs: Any) -> Any:
        picture, self._stepped = self._stepped % 2 == 0, self._stepped + 1
        if not picture:
            return official(*args, **kwargs)
        if self._new:
            self._loop.begin(sigmas=sigmas)
            self._new = False
        self._loop.before(arguments["sample"], arguments["denoised_sample"])
        latents = official(*args, **kwargs)
        if sigmas is not None:
            self._loop.after(latents)
        return latents


def _prompts(trace: CaseTrace) -> Watched:
    stages = iter(PROMPTS)

    def process(official: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = official(*args, **kwargs)
        stage = next(stages)
        trace.add(stage, output.video_encoding, layout="batch, tokens, channels", phase="encode")
        return output

    return process


def _conditions(trace: CaseTrace, loop: Loop) -> Watched:
    counts: dict[str, int] = {}  # by stage of the run

    def encode(official: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        loop.end()
        latents, stage = official(*args, **kwargs), loop.following
        number = counts[stage] = counts.get(stage, -1) + 1
        trace.add(f"{stage}condition.{number}", latents, layout=VIDEO, phase="encode")
        return latents

    return encode


class _Decoder:
    """Decodes a video whole, or tile by tile: then the chunks of frames that are ready count, and not the tiles."""

    def __init__(self, trace: CaseTrace, loop: Loop) -> None:
        self._trace, self._loop, self._tiled = trace, loop, False

    def whole(self, official: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._loop.end()
        frames = official(*args, **kwargs)
        if not self._tiled:
            self._trace.add("decoded", frames, layout=VIDEO, phase="decode")
        return frames

    def tiled(self, official: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
        self._tiled, chunks = True, []
        for frames in official(*args, **kwargs):
            if self._trace.sees("decoded"):
                chunks.append(frames.detach().to("cpu", copy=True))  # who takes it may change it in place
            yield frames
        if chunks:
            self._trace.add("decoded", torch.cat(chunks, dim=2), layout=VIDEO, phase="decode")
