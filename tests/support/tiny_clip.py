"""A tiny CLIP with random weights, where the comparison looks for the real one."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from gt_judge.compare import learned


def write(models: Path) -> Path:
    """Put it into a folder of models; the same weights each time."""
    torch.manual_seed(0)
    part = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = part | {"image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=part | {"vocab_size": 9}, vision_config=vision, projection_dim=8)
    CLIPModel(config).save_pretrained(models / learned.CLIP_MODEL)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(models / learned.CLIP_MODEL)
    return models
