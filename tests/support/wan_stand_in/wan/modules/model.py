"""The transformer, of one attention and no weights."""

import torch

from .attention import flash_attention


class WanModel:
    """Lets each text token look at the noise."""

    def __call__(self, noise: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        rows, texts = noise.flatten().view(1, -1, 1, 8), context.view(1, -1, 1, 8)
        lengths = torch.tensor([texts.shape[1]])
        attended: torch.Tensor = flash_attention(rows, texts, texts, k_lens=lengths)
        return attended.view_as(noise)
