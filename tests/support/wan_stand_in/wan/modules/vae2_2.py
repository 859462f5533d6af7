"""The VAE of Wan2.2."""

from .vae import WanVAE


class Wan2_2_VAE(WanVAE):  # noqa: N801  # the official name
    """Bounds what it encodes and decodes as the other one does."""
