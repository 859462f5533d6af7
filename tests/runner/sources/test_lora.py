"""LoRAs of a case, in a real pipeline through our own source. Diffusers needs the package peft for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gt_runner.sources import Generated, diffusers
from gt_runner.sources.tiny import build
from tests.support import official
from tests.support.factory import RUNTIME

MODEL, LORA, FILE = "tiny/flux", "tiny/lora", "tiny.safetensors"
RANK, WIDTH = 4, 64


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny FLUX.1, and a LoRA of rank 4 on its attention."""
    folder = tmp_path_factory.mktemp("models")
    build("FluxPipeline", folder / MODEL, 0)
    draw = torch.Generator().manual_seed(5)
    weights = {
        f"transformer.transformer_blocks.{block}.attn.{layer}.{half}.weight": torch.rand(shape, generator=draw) - 0.5
        for block in (0, 1)
        for layer in ("to_q", "to_v")
        for half, shape in (("lora_A", (RANK, WIDTH)), ("lora_B", (WIDTH, RANK)))
    }
    (folder / LORA).mkdir(parents=True)
    save_file(weights, folder / LORA / FILE)
    return folder


def generate(models: Path, loras: list[dict[str, Any]]) -> Generated:
    call = {"prompt": "a cat", "num_inference_steps": 1, "width": 64, "height": 64, "output_type": "pil", "seed": 1}
    case = official.runnable({"id": "one", "model": {"repo": MODEL}, "call": call, "runtime": RUNTIME}, models)
    case["loras"] = loras  # type: ignore[typeddict-item]
    found: Any = {"repositories": {repo: {"path": str(models / repo)} for repo in (MODEL, LORA)}}
    return diffusers.load(case, found, "cpu").generate(case, [], lambda *_: None)


def test_a_lora_changes_the_output_by_its_strength(models: Path) -> None:
    bare = generate(models, []).frames
    by_strength = {
        strength: generate(models, [{"repo": LORA, "file": FILE, "strength": strength}]).frames
        for strength in (0.0, 0.5, 1.0)
    }
    effects = [float(np.abs(frames.astype(float) - bare).mean()) for frames in by_strength.values()]
    assert effects[0] == 0
    assert 0 < effects[1] < effects[2]


def test_a_lora_without_a_strength_is_loaded_whole(models: Path) -> None:
    whole = generate(models, [{"repo": LORA, "file": FILE, "strength": 1.0}])
    assert np.array_equal(generate(models, [{"repo": LORA, "file": FILE}]).frames, whole.frames)
