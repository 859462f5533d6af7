"""Rectified flow over packed latents, as FluxPipeline does it: packing, noise levels, sampling, loss."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]  # of samples and sigmas
SHIFT = 2.0  # of the noise levels
SPREAD = 1.2  # of the noise levels in training, a logit-normal distribution (Esser et al., 2024, who take 1)


def pack(latents: Tensor) -> Tensor:
    """As FluxPipeline packs: a token for each 2 x 2 latents."""
    count, channels, height, width = latents.shape
    tiles = latents.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(count, height * width // 4, channels * 4)


def unpack(tokens: Tensor, side: int) -> Tensor:
    """The reverse of `pack`, for a square of side x side latents."""
    count, _, channels = tokens.shape
    tiles = tokens.view(count, side // 2, side // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return tiles.reshape(count, channels // 4, side, side)


def places(side: int, number: int, device: torch.device) -> Tensor:
    """FLUX's position of each token of a picture, (tokens, 3); `number` is 0 for what is made and 1 for an input."""
    rows, columns = torch.meshgrid(torch.arange(side // 2), torch.arange(side // 2), indexing="ij")
    return torch.stack([torch.full_like(rows, number), rows, columns], dim=-1).reshape(-1, 3).float().to(device)


def shifted(even: Tensor) -> Tensor:
    """Noise levels of 0..1, moved towards noise as FlowMatchEulerDiscreteScheduler does it."""
    return SHIFT * even / (1 + (SHIFT - 1) * even)


@torch.no_grad()
def sample(velocity: Velocity, noise: Tensor, steps: int) -> Tensor:
    """Euler's method from noise to a picture."""
    levels = shifted(torch.linspace(1, 0, steps + 1)).tolist()
    for level, below in itertools.pairwise(levels):
        now = torch.full((len(noise),), level, device=noise.device)
        noise = noise + (below - level) * velocity(noise, now)
    return noise


def loss(velocity: Velocity, clean: Tensor) -> Tensor:
    """Flow matching at random noise levels."""
    sigma = shifted(torch.sigmoid(SPREAD * torch.randn(len(clean), device=clean.device)))
    noise = torch.randn_like(clean)
    prediction = velocity(torch.lerp(clean, noise, sigma[:, None, None]), sigma)
    return (prediction.float() - (noise - clean)).square().mean()
