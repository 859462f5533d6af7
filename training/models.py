"""The models of the smoke cases: real classes, so small that all of their weights fit into 4 MB as 16-bit numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from .scenes import LENGTH, WORDS

SIDE = 128  # pixels of a picture
FACTOR, LATENT_CHANNELS = 8, 8  # pixels a side for each latent
WIDTH, POOLED = 64, 32  # of text embeddings
PAD, END, FIRST_WORD = 0, 1, 3  # T5's numbers; 2 is an unknown word


def clip_merges() -> tuple[list[str], list[tuple[str, str]]]:
    """CLIP's vocabulary, in which each of WORDS is one token, and the merges that make it from letters.

    A word's merges come after those of the words before it, so it never changes how those are cut.
    """
    letters = [chr(code) for code in range(33, 127)]
    vocabulary, merges = [*letters, *(f"{letter}</w>" for letter in letters)], list[tuple[str, str]]()
    for word in WORDS:
        pieces = merged([*word[:-1], word[-1] + "</w>"], merges)
        while len(pieces) > 1:
            merges.append((pieces[0], pieces[1]))
            vocabulary.append(pieces[0] + pieces[1])
            pieces = merged(pieces, merges)
    return [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"], merges


def merged(pieces: list[str], merges: list[tuple[str, str]]) -> list[str]:
    """Byte pair encoding: the earliest merge first, wherever it fits."""
    for left, right in merges:
        index = 0
        while index < len(pieces) - 1:
            if pieces[index : index + 2] == [left, right]:
                pieces = [*pieces[:index], left + right, *pieces[index + 2 :]]
            index += 1
    return pieces


def t5_ids(rows: Tensor) -> Tensor:
    """Rows of word numbers as T5's tokens: words, the end, padding."""
    position = torch.arange(LENGTH, device=rows.device)
    length = (rows >= 0).sum(dim=1, keepdim=True)
    return torch.where(position < length, rows + FIRST_WORD, torch.where(position == length, END, PAD))


def clip_ids(rows: Tensor, numbers: Tensor) -> Tensor:
    """Rows of word numbers as CLIP's tokens: the start, words, and ends; `numbers` has the token of each word."""
    position = torch.arange(LENGTH, device=rows.device)
    length = (rows >= 0).sum(dim=1, keepdim=True)
    words = torch.cat([rows[:, :1], rows[:, :-1]], dim=1).clamp(min=0)
    start, end = numbers[-2], numbers[-1]
    return torch.where(position == 0, start, torch.where(position <= length, numbers[words], end))


def clip_numbers() -> list[int]:
    """CLIP's token of each word; the last two are the start and the end."""
    vocabulary, _ = clip_merges()
    return [*(vocabulary.index(f"{word}</w>") for word in WORDS), len(vocabulary) - 2, len(vocabulary) - 1]


def take_over(folder: Path, components: dict[str, Any]) -> None:
    """Give these components the weights that a training left in a folder."""
    weights = load_file(folder / "weights.safetensors")
    if "vae" in components:
        components["vae"].register_to_config(**json.loads((folder / "figures.json").read_text())["vae"])
    with torch.no_grad():
        for name, model in components.items():
            for key, parameter in model.named_parameters():
                parameter.copy_(weights[f"{name}.{key}"])


def untrained() -> dict[str, Any]:
    """What FluxPipeline and FluxKontextPipeline are made of, by component; untrained."""
    vocabulary = len(clip_merges()[0])
    return {
        "vae": AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(16, 32, 32, 40),
            layers_per_block=1,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=8,
            sample_size=SIDE,
            use_quant_conv=False,
            use_post_quant_conv=False,
            mid_block_add_attention=False,
            scaling_factor=1.0,
            shift_factor=0.0,
        ),
        "transformer": FluxTransformer2DModel(
            in_channels=4 * LATENT_CHANNELS,
            num_layers=1,
            num_single_layers=3,
            attention_head_dim=32,
            num_attention_heads=4,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=POOLED,
            guidance_embeds=False,
            axes_dims_rope=(8, 12, 12),
        ),
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=POOLED,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                projection_dim=POOLED,
                max_position_embeddings=LENGTH,
                bos_token_id=vocabulary - 2,
                eos_token_id=vocabulary - 1,
                pad_token_id=vocabulary - 1,
            )
        ),
        "text_encoder_2": T5EncoderModel(
            T5Config(
                vocab_size=FIRST_WORD + len(WORDS),
                d_model=WIDTH,
                d_kv=16,
                d_ff=96,
                num_layers=3,
                num_heads=4,
                feed_forward_proj="gated-gelu",
                dropout_rate=0.0,
                relative_attention_max_distance=32,
                attn_implementation="eager",  # with its bias, SDPA finds no fast kernel, and fails in 16 bits
            )
        ),
    }
