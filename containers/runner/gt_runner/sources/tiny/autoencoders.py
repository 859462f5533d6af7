"""Autoencoders that turn latents into soft pictures."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLWan

from .weights import fill

LATENT_CHANNELS = 4

# Each block at the lowest resolution outweighs what came before it, which is blurred less: noise goes, blobs stay.
SOFT = {
    r"decoder.mid_block.resnets.0.conv2": 4.0,
    r"decoder.mid_block.resnets.1.conv2": 8.0,
    r"decoder.up_blocks.0.resnets.0.conv2": 16.0,
    r"decoder.up_blocks.0.resnets.1.conv2": 32.0,
    r"decoder.up_blocks.1.resnets.*conv2": 32.0,
}
_SHAPE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (8, 16, 16, 16),
    "layers_per_block": 1,
    "latent_channels": LATENT_CHANNELS,
    "norm_num_groups": 4,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


def kl(seed: int) -> Any:
    """The autoencoder of FLUX.1: 8 pixels a latent side, 4 latent channels."""
    return fill(AutoencoderKL(**_SHAPE, scaling_factor=1.0, shift_factor=0.0), seed, SOFT)


def kl_flux2(seed: int) -> Any:
    """The autoencoder of FLUX.2: 8 pixels a latent side, 4 latent channels."""
    return fill(AutoencoderKLFlux2(**_SHAPE), seed, SOFT)


def wan(seed: int) -> Any:
    """The autoencoder of Wan 2.1: 8 pixels a latent side, 4n + 1 frames from n + 1 latent ones, 4 latent channels."""
    model = AutoencoderKLWan(
        base_dim=8,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
    )
    return fill(model, seed, SOFT | {"decoder.conv_out": 24.0})  # far beyond black and white: spots with sharp edges
