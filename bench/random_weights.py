"""Random weights in place of a download, laid out as `gt --models DIR` wants them.

    python -m bench.random_weights tiny|flux1 DIR

`flux1` is the architecture of FLUX.1-dev, size by size; what random numbers draw is noise, at the real cost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from ci import RUNNER

from .subject import FLUX1_LAYERS

sys.path.insert(0, str(RUNNER))
from gt_runner.sources.tiny import build, tokenizers  # the runner is not installed, it lies in its folder

REPO = "black-forest-labs/FLUX.1-dev"
SEED = 0
SHARD = "5GB"
THREADS, PIECE = 16, 64 * 2**20  # that write a file, and the bytes that one writes at a time


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--whole", action="store_true", help="DIR is the model's own folder")
    parser.add_argument("--layers", type=int, nargs=3, default=FLUX1_LAYERS, help="of flux1: double, single, T5")
    arguments = parser.parse_args()
    folder = arguments.folder if arguments.whole else arguments.folder / REPO
    folder.mkdir(parents=True, exist_ok=True)
    ARCHITECTURES[arguments.architecture](folder, *arguments.layers)


def tiny(folder: Path, *_: int) -> None:
    """A pipeline of the same class, of a few MB."""
    build("FluxPipeline", folder, SEED)


def flux1(folder: Path, double: int, single: int, t5: int) -> None:
    """FLUX.1-dev in bf16: 34 GB, made on the GPU where there is one. The tokenizers know bytes only, so no download."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        models = {
            "vae": AutoencoderKL(**VAE),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**CLIP)),
            "text_encoder_2": T5EncoderModel(T5Config(**T5, num_layers=t5)),
            "transformer": FluxTransformer2DModel(num_layers=double, num_single_layers=single, guidance_embeds=True),
        }
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        tokenizer=tokenizers.clip(),
        tokenizer_2=tokenizers.t5(),
        **models,
    )
    with (
        mock.patch("safetensors.torch.save_file", write),
        mock.patch("transformers.modeling_utils.safe_save_file", write),
    ):
        pipeline.save_pretrained(folder, max_shard_size=SHARD)


def write(tensors: Mapping[str, torch.Tensor], path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """What safetensors' save_file writes, by many threads: that one holds Python's lock, and takes 1 GB/s."""
    header: dict[str, Any] = {"__metadata__": metadata or {}}
    pieces, end = [], 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        dtype = {torch.bfloat16: "BF16", torch.float32: "F32"}[tensor.dtype]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
        flat = tensor.detach().contiguous().flatten().view(torch.uint8)
        pieces += [(start + place, flat[place : place + PIECE]) for place in range(0, len(flat), PIECE)]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    local = threading.local()

    def put(at: int, piece: torch.Tensor) -> None:
        if not hasattr(local, "buffer"):
            local.buffer = torch.empty(PIECE, dtype=torch.uint8, pin_memory=piece.is_cuda)
        buffer = local.buffer[: len(piece)].copy_(piece).numpy()
        count = 0
        while count < len(buffer):
            count += os.pwrite(file.fileno(), buffer[count:], at + count)

    with Path(path).open("wb") as file, ThreadPoolExecutor(THREADS) as pool:
        file.write(len(text).to_bytes(8, "little") + text)
        file.flush()
        for future in [pool.submit(put, 8 + len(text) + at, piece) for at, piece in pieces]:
            future.result()


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
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}

if __name__ == "__main__":
    main()
