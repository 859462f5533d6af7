"""Lays trained weights out as a pipeline, as `save_pretrained` does: `python -m training.assemble OUT FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
from transformers import CLIPTokenizer, T5Tokenizer

from . import flow, models
from .scenes import LENGTH, WORDS


def t5_tokenizer() -> Any:
    """T5's tokenizer with WORDS as its only pieces, and with their capitalised forms behind them."""
    words = [*WORDS, *(word.capitalize() for word in WORDS)]
    pieces = ["<pad>", "</s>", "<unk>", *(f"▁{word}" for word in words)]
    return T5Tokenizer(vocab=[(piece, 0.0) for piece in pieces], extra_ids=0, model_max_length=LENGTH)


def with_capitals(encoder: Any) -> None:
    """Give each capitalised word the embedding of the word, since T5 minds capitals."""
    embeddings = encoder.get_input_embeddings().weight.detach()
    encoder.resize_token_embeddings(len(embeddings) + len(WORDS), mean_resizing=False)
    encoder.get_input_embeddings().weight.data[len(embeddings) :] = embeddings[models.FIRST_WORD :]


def clip_tokenizer() -> Any:
    """CLIP's tokenizer, in which each of WORDS is one token."""
    vocabulary, merges = models.clip_merges()
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=numbers, merges=merges, model_max_length=LENGTH)


def assemble(trained: Path, folder: Path) -> None:
    """Write the pipeline, in 16 bits, from what the training left in `trained`."""
    components = models.untrained()
    models.take_over(trained, components)
    with_capitals(components["text_encoder_2"])
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=flow.SHIFT),
        tokenizer=clip_tokenizer(),
        tokenizer_2=t5_tokenizer(),
        **{name: model.half() for name, model in components.items()},
    ).save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m training.assemble", description=__doc__)
    parser.add_argument("trained", type=Path, help="what the training wrote")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    assemble(arguments.trained, arguments.folder)
