"""FLUX.1: text to image."""

from __future__ import annotations

from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

from . import autoencoders, text_encoders, tokenizers
from .weights import fill


def pipeline(seed: int) -> Any:
    """A FluxPipeline; width and height are multiples of 16 pixels."""
    transformer = FluxTransformer2DModel(
        in_channels=4 * autoencoders.LATENT_CHANNELS,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=text_encoders.WIDTH,
        pooled_projection_dim=text_encoders.WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=autoencoders.kl(seed),
        text_encoder=text_encoders.clip(seed),
        tokenizer=tokenizers.clip(),
        text_encoder_2=text_encoders.t5(seed),
        tokenizer_2=tokenizers.t5(),
        transformer=fill(transformer, seed),
    )
