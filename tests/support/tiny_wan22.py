"""The Wan2.2 repository with tiny random weights, on a CPU, where it knows CUDA devices alone.

Weights of 4 MB replace 34 GB: two transformer blocks, a narrow VAE, a text encoder of one layer. They are drawn for the
repository's own classes and written in the formats that it reads, so what it would not load cannot be written here.
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from gt_runner.sources.tiny import tokenizers
from gt_runner.sources.tiny.weights import fill

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TRANSFORMER = {
    "model_type": "ti2v",
    "in_dim": 48,
    "out_dim": 48,
    "dim": 64,
    "ffn_dim": 64,
    "freq_dim": 32,
    "num_heads": 2,
    "num_layers": 2,
}
TEXT = {"vocab_size": 128, "dim_attn": 32, "dim_ffn": 32, "num_heads": 2, "encoder_layers": 1}  # dim: the transformer's
VAE = {"dim": 8, "dec_dim": 8}
# Packages that the repository imports for its other tasks, sound and character animation.
OF_OTHER_TASKS = {"decord": ("VideoReader",), "librosa": ()}
HALF = (torch.bfloat16, torch.float16)


def build(folder: Path) -> None:
    """Write a checkpoint folder as `Wan-AI/Wan2.2-TI2V-5B` has it. `on_a_cpu` must have run before."""
    transformer = importlib.import_module("wan.modules.model").WanModel(**TRANSFORMER)
    fill(transformer, seed=1).save_pretrained(folder)
    text = importlib.import_module("wan.modules.t5").umt5_xxl(encoder_only=True, dtype=torch.bfloat16)
    torch.save(fill(text, seed=2).state_dict(), folder / "models_t5_umt5-xxl-enc-bf16.pth")
    part = importlib.import_module("wan.modules.vae2_2")
    vae = part.WanVAE_(z_dim=48, temperal_downsample=[False, True, True], **VAE)
    torch.save(fill(vae, seed=3).state_dict(), folder / "Wan2.2_VAE.pth")
    tokenizers.t5().save_pretrained(folder / "google" / "umt5-xxl")


def on_a_cpu(patch: pytest.MonkeyPatch) -> None:
    """Have what the repository asks of CUDA done on the CPU, and make its text encoder and its VAE small.

    The checkout must be on the import path, and not be imported yet.
    """
    patch.setattr(torch.cuda, "current_device", lambda: 0)
    patch.setattr(torch.cuda, "synchronize", lambda *_: None)
    autocast = _autocast(importlib.import_module("torch.amp").autocast)
    patch.setattr(torch.amp, "autocast", autocast)
    patch.setattr(torch.cuda.amp, "autocast", partial(autocast, "cuda"))
    for name, parts in OF_OTHER_TASKS.items():
        _stand_in(patch, name, parts)
    patch.setattr(importlib.import_module("wan.textimage2video"), "torch", _OnCpu("torch"))
    text = importlib.import_module("wan.modules.t5")
    patch.setattr(text, "umt5_xxl", partial(text.umt5_xxl, **TEXT))
    vae = importlib.import_module("wan.modules.vae2_2")
    official = vae._video_vae
    patch.setattr(vae, "_video_vae", lambda **options: official(**options | VAE))


class _OnCpu(ModuleType):
    """The module torch, for which every device is the CPU."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def device(_: str) -> torch.device:
        """The CPU."""
        return torch.device("cpu")


def _autocast(official: Any) -> Any:
    """Autocast of a GPU, on a CPU: a dtype that a CPU does not cast to is the one that it has without."""

    def autocast(_: str, dtype: torch.dtype = torch.bfloat16, enabled: bool = True) -> Any:
        return official("cpu", dtype=dtype if dtype in HALF else torch.bfloat16, enabled=enabled and dtype in HALF)

    return autocast


def _stand_in(patch: pytest.MonkeyPatch, name: str, parts: tuple[str, ...]) -> None:
    """An empty package in the place of one that is not installed here."""
    try:
        importlib.import_module(name)
    except ImportError:
        module = ModuleType(name)
        for part in parts:
            setattr(module, part, type(part, (), {}))
        patch.setitem(sys.modules, name, module)
