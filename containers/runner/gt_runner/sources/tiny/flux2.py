"""FLUX.2: text, and images if there are any, to image."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline, Flux2Transformer2DModel

from . import autoencoders, text_encoders, tokenizers
from .weights import fill

KLEIN_LAYERS = 27  # klein reads the hidden states 9, 18 and 27

# Loud attention and a quiet rest: a token else hardly shows what it has seen of the prompt and of the input images.
_ATTENTIVE = {"embedder.linear": 2.0, "modulation": 0.5, ".ff.": 0.3, "norm_q": 2.0, "norm_added_k": 1.4}


def klein(seed: int, *, distilled: bool = True) -> Any:
    """A Flux2KleinPipeline; sides are multiples of 16 pixels, an input's 64 or more. Distilled, it ignores guidance."""
    return Flux2KleinPipeline(
        scheduler=scheduler(),
        vae=autoencoders.kl_flux2(seed),
        text_encoder=text_encoders.qwen3(seed, KLEIN_LAYERS),
        tokenizer=tokenizers.qwen(),
        transformer=transformer(seed, guidance=False),
        is_distilled=distilled,
    )


def scheduler() -> Any:
    """FLUX.2's scheduler."""
    return FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


def transformer(seed: int, *, guidance: bool) -> Any:
    """FLUX.2's transformer; `guidance` is whether the guidance scale is an input of it."""
    model = Flux2Transformer2DModel(
        in_channels=4 * autoencoders.LATENT_CHANNELS,
        num_layers=2,
        num_single_layers=1,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=3 * text_encoders.WIDTH,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 12, 12, 4),
        rope_theta=2,  # nearby places differ: attention would else average over the whole of an input image
        guidance_embeds=guidance,
    )
    fill(model, seed, _ATTENTIVE)
    with torch.no_grad():  # what is read is what the embedder writes, so that a latent shows in the output
        embedder = model.x_embedder.weight.double()
        model.proj_out.weight.copy_(6 * embedder.T / embedder.T.square().sum(dim=1, keepdim=True))
    return model
