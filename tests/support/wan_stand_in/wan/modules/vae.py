"""The VAE, which only bounds what it decodes."""

import torch


class WanVAE:
    """Decodes each latent as a video of (channels, frames, height, width) in -1..1."""

    def decode(self, latents: list[torch.Tensor]) -> list[torch.Tensor]:
        """One video for each latent."""
        return [latent.clamp(-1, 1) for latent in latents]
