"""Wan 2.1: text to video."""

from __future__ import annotations

from typing import Any

from diffusers import UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

from . import autoencoders, text_encoders, tokenizers
from .weights import fill


def pipeline(seed: int) -> Any:
    """A WanPipeline; width and height are multiples of 16 pixels, frames 4n + 1."""
    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=24,
        in_channels=autoencoders.LATENT_CHANNELS,
        out_channels=autoencoders.LATENT_CHANNELS,
        text_dim=text_encoders.WIDTH,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
    )
    return WanPipeline(
        tokenizer=tokenizers.t5(),
        text_encoder=text_encoders.umt5(seed),
        vae=autoencoders.wan(seed),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        transformer=fill(transformer, seed),
    )
