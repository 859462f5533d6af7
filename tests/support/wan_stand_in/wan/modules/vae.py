"""The VAE, which only bounds what it encodes and decodes."""

import torch


class WanVAE:
    """Each latent is a video of (channels, frames, height, width) in -1..1."""

    def encode(self, videos: list[torch.Tensor]) -> list[torch.Tensor]:
        """One latent for each video; text-to-video has none."""
        return [video.clamp(-1, 1) for video in videos]

    def decode(self, latents: list[torch.Tensor]) -> list[torch.Tensor]:
        """One video for each latent."""
        return [latent.clamp(-1, 1) for latent in latents]
