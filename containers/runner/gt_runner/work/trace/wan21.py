"""Where the stages of the Wan2.1 repository are."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gt_trace import CaseTrace

from ...sources.hooks import replaced
from ...sources.wan21 import LoadedWan

ABSENT: dict[str, str] = {}
PROMPTS = ("prompt_embeds", "negative_prompt_embeds")  # in the order in which they are encoded


@contextmanager
def watch(trace: CaseTrace, _: LoadedWan) -> Iterator[None]:
    """While open, what the text encoder, the schedulers and the VAE give is added to the trace."""
    official = importlib.import_module("wan.text2video")  # of the checkout, which the source has imported
    encode, decode = official.T5EncoderModel.__call__, official.WanVAE.decode
    prompts = iter(PROMPTS)

    def encoded(*args: Any, **kwargs: Any) -> Any:
        contexts = encode(*args, **kwargs)
        trace.add(next(prompts), contexts[0], layout="tokens, channels", phase="encode")
        return contexts

    def decoded(*args: Any, **kwargs: Any) -> Any:
        videos = decode(*args, **kwargs)
        trace.add("decoded", videos[0], layout="channels, frames, height, width", phase="decode")
        return videos

    words = {"layout": "batch, channels, frames, height, width", "phase": "denoise"}
    with (
        replaced(official.T5EncoderModel, "__call__", encoded),
        replaced(official.WanVAE, "decode", decoded),
        trace.steps(official.FlowUniPCMultistepScheduler, **words),
        trace.steps(official.FlowDPMSolverMultistepScheduler, **words),
    ):
        yield


def noise_layout(_: LoadedWan) -> str:
    """The axes of the noise as the generator gives it."""
    return "channels, frames, height, width"
