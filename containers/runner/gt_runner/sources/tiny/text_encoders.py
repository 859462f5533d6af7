"""Text encoders in which a single letter of a prompt shows in every token."""

from __future__ import annotations

from typing import Any

from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from . import tokenizers
from .weights import fill

WIDTH = 32  # of every hidden state and prompt embedding
# Peaked attention: an average over all tokens, most of them padding, would hardly differ from prompt to prompt.
PEAKED = {"q_norm": 6.0, "q_proj": 4.0, "o_proj": 3.0, ".q.": 4.0, ".o.": 3.0}


def clip(seed: int) -> Any:
    """CLIP's text encoder."""
    vocabulary = len(tokenizers.clip())
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=WIDTH,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return fill(CLIPTextModel(config), seed, PEAKED)


_T5_SHAPE = {
    "d_model": WIDTH,
    "d_kv": 16,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_proj": "gated-gelu",
}


def t5(seed: int) -> Any:
    """T5's encoder."""
    return fill(T5EncoderModel(T5Config(vocab_size=len(tokenizers.t5()), **_T5_SHAPE)), seed, PEAKED)


def umt5(seed: int) -> Any:
    """UMT5's encoder, of Wan."""
    return fill(UMT5EncoderModel(UMT5Config(vocab_size=len(tokenizers.t5()), **_T5_SHAPE)), seed, PEAKED)


def qwen3(seed: int, layers: int, model: type = Qwen3ForCausalLM) -> Any:
    """Qwen3 with so many layers, as the class that a pipeline asks for."""
    config = Qwen3Config(
        vocab_size=len(tokenizers.qwen()),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
    )
    return fill(model(config), seed, PEAKED)
