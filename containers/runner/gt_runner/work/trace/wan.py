"""Where the stages of the Wan repositories are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gt_trace import CaseTrace

from ...sources.hooks import replaced
from ...sources.wan import LoadedWan

ABSENT: dict[str, str] = {}
PROMPTS = ("prompt_embeds", "negative_prompt_embeds")  # in the order in which they are encoded


@contextmanager
def watch(trace: CaseTrace, loaded: LoadedWan) -> Iterator[None]:
    """While open, what the text encoder, the schedulers and the VAE give is added to the trace."""
    official: Any = loaded.module
    vae = getattr(official, loaded.release.vae)
    encode, condition, decode = official.T5EncoderModel.__call__, vae.encode, vae.decode
    prompts = iter(PROMPTS)

    def encoded(*args: Any, **kwargs: Any) -> Any:
        contexts = encode(*args, **kwargs)
        trace.add(next(prompts), contexts[0], layout="tokens, channels", phase="encode")
        return contexts

    def conditioned(*args: Any, **kwargs: Any) -> Any:
        latents = condition(*args, **kwargs)
        trace.add("condition.0", latents[0], layout="channels, frames, height, width", phase="encode")
        return latents

    def decoded(*args: Any, **kwargs: Any) -> Any:
        videos = decode(*args, **kwargs)
        trace.add("decoded", videos[0], layout="channels, frames, height, width", phase="decode")
        return videos

    words = {"layout": "batch, channels, frames, height, width", "phase": "denoise"}
    with (
        replaced(official.T5EncoderModel, "__call__", encoded),
        replaced(vae, "encode", conditioned),
        replaced(vae, "decode", decoded),
        trace.steps(official.FlowUniPCMultistepScheduler, **words),
        trace.steps(official.FlowDPMSolverMultistepScheduler, **words),
    ):
        yield


def noise_layout(_: LoadedWan) -> str:
    """The axes of the noise as the generator gives it."""
    return "channels, frames, height, width"
