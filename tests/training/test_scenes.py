"""The scenes and prompts that the smoke models learn from, and how a picture of them is measured."""

from __future__ import annotations

import re

import pytest
import torch
from diffusers import FluxPipeline
from transformers import CLIPTokenizer, T5Tokenizer

from gt_runner.sources.smoke import SHAPES
from training import measuring, models
from training.drawing import draw
from training.flow import pack, unpack
from training.scenes import LENGTH, Grammar, held_out, text

CPU = torch.device("cpu")
COUNT = 100
PAIR = re.compile(r"a (?:small |large )?(\w+) (\w+) (left|right|above|below)(?: of)? a (?:small |large )?(\w+) (\w+)")
SINGLE = re.compile(r"a (?:small |large )?(\w+) (\w+) ((?:in|at) the \w+)(?: on a \w+ background)?")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


def combination(sentence: str) -> tuple[str, ...]:
    """What a caption combines, by another way than the code that made it."""
    if pair := PAIR.match(sentence):
        return pair.groups()
    single = SINGLE.fullmatch(sentence)
    assert single, sentence
    return (*single.groups()[:2], *single.group(3).split())


@pytest.mark.parametrize("unseen", [False, True])
def test_no_training_prompt_combines_what_is_held_out(unseen: bool) -> None:
    grammar = Grammar(CPU, unseen=unseen)
    assert {held_out(*combination(each)) for each in text(grammar.captions(grammar.scenes(COUNT)))} == {unseen}
    _after, sentences, fair = grammar.edits(grammar.scenes(COUNT))
    changes = [each.split() for each, is_fair in zip(text(sentences), fair.tolist(), strict=True) if is_fair]
    asked = [(words[0], words[2], words[3], words[-1]) for words in changes if words[2] != "background"]
    assert asked
    assert {held_out(*each) for each in asked} == {unseen}


@pytest.mark.parametrize("tokenizer", ["t5", "clip"])
def test_the_shipped_tokenizers_give_the_tokens_that_were_trained_on(tokenizer: str) -> None:
    grammar = Grammar(CPU, unseen=False)
    scenes = grammar.scenes(COUNT)
    rows = torch.cat([grammar.captions(scenes), grammar.edits(scenes)[1]])
    kind, folder = {"t5": (T5Tokenizer, "tokenizer_2"), "clip": (CLIPTokenizer, "tokenizer")}[tokenizer]
    shipped = kind.from_pretrained(SHAPES / folder)
    given = shipped(text(rows), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
    trained = models.t5_ids(rows) if tokenizer == "t5" else models.clip_ids(rows, torch.tensor(models.clip_numbers()))
    assert torch.equal(given, trained)


def test_what_is_trained_is_packed_as_the_pipeline_does_it() -> None:
    latents = torch.randn(2, 4, 16, 16)
    assert torch.equal(pack(latents), FluxPipeline._pack_latents(latents, 2, 4, 16, 16))
    assert torch.equal(unpack(pack(latents), 16), latents)


def test_the_measure_finds_what_was_drawn_and_misses_what_was_not() -> None:
    grammar = Grammar(CPU, unseen=True)
    scenes, others = grammar.scenes(COUNT), grammar.scenes(COUNT)
    pictures = draw(scenes, models.SIDE)
    right = measuring.picture(pictures, scenes).shares()
    assert min(right.values()) > 0.97, right
    assert measuring.picture(pictures, others).shares()["all"] < 0.03
    swapped = measuring.picture(pictures[:, [2, 1, 0]], scenes).shares()
    assert swapped["colour"] < 0.3
    mirrored = measuring.picture(pictures.flip(3), scenes)
    sideways = scenes.pair & (scenes.place < 2)
    assert not mirrored.place[sideways].any()
    assert mirrored.colour.float().mean() > 0.97


def test_captions_have_no_gaps_and_differ() -> None:
    grammar = Grammar(CPU, unseen=False)
    sentences = text(grammar.captions(grammar.scenes(COUNT)))
    assert len(set(sentences)) > COUNT * 0.9
    assert not [each for each in sentences if "  " in each]
