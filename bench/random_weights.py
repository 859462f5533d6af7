"""Random weights in place of a download, laid out as `gt --models DIR` wants them.

    python -m bench.random_weights tiny|flux1 DIR

`flux1` is the architecture of FLUX.1-dev, size by size; what random numbers draw is noise, at the real cost.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from ci import RUNNER

sys.path.insert(0, str(RUNNER))
from gt_runner.sources.tiny import build, tokenizers  # the runner is not installed, it lies in its folder

REPO = "black-forest-labs/FLUX.1-dev"
SEED = 0
LAYERS = (19, 38)  # FLUX.1's own


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--whole", action="store_true", help="DIR is the model's own folder")
    parser.add_argument("--layers", type=int, nargs=2, default=LAYERS, help="double and single blocks of flux1")
    arguments = parser.parse_args()
    folder = arguments.folder if arguments.whole else arguments.folder / REPO
    folder.mkdir(parents=True, exist_ok=True)
    ARCHITECTURES[arguments.architecture](folder, *arguments.layers)


def tiny(folder: Path, *_: int) -> None:
    """A pipeline of the same class, of a few MB."""
    build("FluxPipeline", folder, SEED)


def flux1(folder: Path, double: int, single: int) -> None:
    """FLUX.1-dev in bf16: 34 GB, made on the GPU where there is one. The tokenizers know bytes only, so no download."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        models = {
            "vae": AutoencoderKL(**VAE),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**CLIP)),
            "text_encoder_2": T5EncoderModel(T5Config(**T5)),
            "transformer": FluxTransformer2DModel(num_layers=double, num_single_layers=single, guidance_embeds=True),
        }
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        tokenizer=tokenizers.clip(),
        tokenizer_2=tokenizers.t5(),
        **models,
    )
    pipeline.save_pretrained(folder)


ARCHITECTURES: dict[str, Callable[..., None]] = {"tiny": tiny, "flux1": flux1}

VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 16,
    "sample_size": 1024,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
CLIP: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "eos_token_id": 2,
}
T5: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}

if __name__ == "__main__":
    main()
