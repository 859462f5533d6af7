"""The shipped weights, loaded as the smoke cases load them, draw what held-out prompts say: colour, shape and place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxKontextPipeline, FluxPipeline
from PIL import Image
from torch import Tensor

from gt_runner.sources.smoke import SHAPES
from tests.conftest import LONG
from training import measuring
from training.drawing import draw
from training.models import SIDE
from training.scenes import LENGTH, Grammar, Scenes, text

CPU = torch.device("cpu")
PROMPTS, EDITS = (512, 256) if LONG else (64, 48)
STEPS, GUIDANCE = 8, 2.0  # as the smoke cases
ENOUGH = 0.9  # of the pictures, for colour, shape and place each
MOST_BYTES = 4_000_000


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As the runner's worker has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loaded(kind: Any) -> Any:
    pipeline = kind.from_pretrained(SHAPES, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def called(pipeline: Any, prompts: list[str], **options: Any) -> Any:
    generator = torch.Generator("cpu").manual_seed(11)
    return pipeline(
        prompt=prompts,
        negative_prompt=[""] * len(prompts),
        true_cfg_scale=GUIDANCE,
        num_inference_steps=STEPS,
        generator=generator,
        max_sequence_length=LENGTH,
        **options,
    )


def stacked(images: list[Image.Image]) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 255


def test_all_weights_are_safetensors_and_small() -> None:
    files = [path for path in SHAPES.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert sum(path.stat().st_size for path in files if path.suffix == ".safetensors") <= MOST_BYTES


def test_held_out_prompts_are_drawn_as_they_say() -> None:
    torch.manual_seed(5)
    grammar = Grammar(CPU, unseen=True)
    scenes = grammar.scenes(PROMPTS)
    made = called(loaded(FluxPipeline), text(grammar.captions(scenes)), width=SIDE, height=SIDE).images
    shares = measuring.picture(stacked(made), scenes).shares()
    assert min(shares.values()) >= ENOUGH, shares


def test_held_out_edits_change_what_they_say_and_nothing_else() -> None:
    torch.manual_seed(6)
    grammar = Grammar(CPU, unseen=True)
    scenes = grammar.scenes(10 * EDITS)  # about one in five has a change that is held out
    after, sentences, fair = grammar.edits(scenes)
    chosen = fair.nonzero()[:EDITS, 0]
    pictures = (draw(some(scenes, chosen), SIDE) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    options = {"width": SIDE, "height": SIDE, "max_area": SIDE * SIDE, "_auto_resize": False}
    images = [Image.fromarray(each) for each in pictures]
    made = called(loaded(FluxKontextPipeline), text(sentences[chosen]), image=images, **options).images
    shares = measuring.picture(stacked(made), some(after, chosen)).shares()
    assert min(shares.values()) >= ENOUGH, shares


def some(scenes: Scenes, chosen: Tensor) -> Scenes:
    return Scenes(**{name: value[chosen] for name, value in vars(scenes).items()})
