"""Tokenizers without training: one token a character or byte, which makes any two prompts differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer, Qwen2Tokenizer, T5Tokenizer

PRINTABLE = tuple(chr(code) for code in range(33, 127))
BYTES = tuple(sorted(pre_tokenizers.ByteLevel.alphabet()))
QWEN_SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def clip() -> Any:
    """CLIP's tokenizer, which lower-cases; one token a byte, in two forms, as the last of a word has its own."""
    words = (*BYTES, *(f"{letter}</w>" for letter in BYTES), "<|startoftext|>", "<|endoftext|>")
    return CLIPTokenizer(vocab=_numbered(words), merges=[], model_max_length=77)


def t5() -> Any:
    """T5's tokenizer, one token a printable ASCII character; any other character is unknown."""
    pieces = ("<pad>", "</s>", "<unk>", "▁", *PRINTABLE)
    return T5Tokenizer(vocab=[(piece, 0.0) for piece in pieces], extra_ids=0, model_max_length=512)


def qwen(merges: Sequence[tuple[str, str]] = ()) -> Any:
    """Qwen's tokenizer; one token a byte, and one for each pair that is merged."""
    return Qwen2Tokenizer(
        vocab=_numbered((*BYTES, *(left + right for left, right in merges), "<|endoftext|>")),
        merges=list(merges),
        extra_special_tokens=list(QWEN_SPECIAL),
        eos_token=QWEN_SPECIAL[1],
        chat_template=QWEN_CHAT,
        model_max_length=8192,
    )


def _numbered(words: Iterable[str]) -> dict[str, int]:
    return {word: index for index, word in enumerate(words)}
