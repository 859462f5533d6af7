"""Traces a tiny FLUX.1 with random weights, and copies of it in each of which one thing is wrong.

    PYTHONPATH=containers/runner uv run python examples/traces/changed_pipeline.py traces
    uv run gt diverge --reference traces/reference --other traces/wrong_sigma_shift

`traced` is what an engine would write: its ten lines know nothing of what is wrong. Runs on a CPU within seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FluxPipeline

from gt_runner.sources.tiny import flux
from gt_trace import Trace

CASE = "tiny_flux"
CALL = {"prompt": "a red house", "height": 64, "width": 64, "num_inference_steps": 4, "guidance_scale": 3.5}
SCALING, SHIFT = 0.3611, 0.1159  # of FLUX.1's autoencoder

Change = Callable[[FluxPipeline, dict[str, Any]], None]


def pipeline() -> FluxPipeline:
    """The official class, with little in it."""
    pipe = flux.pipeline(seed=0)
    torch.manual_seed(0)  # the weights of the autoencoder: that of the tiny pipeline shows no shift
    pipe.vae = AutoencoderKL.from_config({**pipe.vae.config, "scaling_factor": SCALING, "shift_factor": SHIFT})
    for part in (pipe.text_encoder, pipe.text_encoder_2, pipe.transformer, pipe.vae):
        part.eval()  # as from_pretrained does: no dropout
    pipe.set_progress_bar_config(disable=True)
    return pipe


def traced(pipe: FluxPipeline, call: dict[str, Any], folder: Path) -> None:
    """Run the pipeline once and write its trace."""
    with Trace(folder, name="example", version="1").case(CASE) as trace:
        encode, prepare, decode = pipe.encode_prompt, pipe.prepare_latents, pipe.vae.decode
        pipe.encode_prompt = lambda **given: _kept(trace, ["prompt_embeds", "prompt_embeds.pooled"], encode(**given))
        pipe.prepare_latents = lambda *given: _kept(trace, ["noise"], prepare(*given))
        pipe.vae.decode = lambda *given, **more: _kept(trace, ["decoded"], decode(*given, **more))
        with trace.steps(pipe.scheduler, layout="packed: batch, tokens, channels x 2 x 2"):
            pipe(**call)


def _kept(trace: Any, stages: list[str], result: tuple[Any, ...]) -> tuple[Any, ...]:
    for stage, tensor in zip(stages, result, strict=False):
        trace.add(stage, tensor)
    return result


def wrong_sigma_shift(pipe: FluxPipeline, _: dict[str, Any]) -> None:
    """Shift the sigmas as for a larger image."""
    pipe.scheduler.register_to_config(base_shift=1.0)


def guidance_off_by_a_factor(_: FluxPipeline, call: dict[str, Any]) -> None:
    """Give the transformer the guidance times 1.5."""
    call["guidance_scale"] *= 1.5


def no_vae_shift(pipe: FluxPipeline, _: dict[str, Any]) -> None:
    """Leave the shift of the latents out before decoding."""
    pipe.vae.register_to_config(shift_factor=0.0)


def noise_from_another_generator(pipe: FluxPipeline, call: dict[str, Any]) -> None:
    """Draw the noise with a generator of another kind, as a run on another device does."""
    shape = (1, 16, 4 * pipe.vae.config.latent_channels)
    call["latents"] = torch.from_numpy(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


CHANGES: tuple[Change, ...] = (wrong_sigma_shift, guidance_off_by_a_factor, no_vae_shift, noise_from_another_generator)


def main() -> None:
    """Write `reference` and a trace for each change into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    traced(pipeline(), _call(), folder / "reference")
    for change in CHANGES:
        pipe, call = pipeline(), _call()
        change(pipe, call)
        traced(pipe, call, folder / change.__name__)


def _call() -> dict[str, Any]:
    return {**CALL, "generator": torch.Generator().manual_seed(0)}


if __name__ == "__main__":
    main()
