"""A tiny case of the Wan2.2 source, and where the repository is, if it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from tests.support.wan import checkout, merged

if TYPE_CHECKING:
    from pathlib import Path

    from gt_runner.contract import Case

PIN = "42bf4cfaa384bc21833865abc2f9e6c0e67233dc"
CHECKOUT, with_checkout = checkout("GT_WAN22_CHECKOUT", "Wan-Video/Wan2.2", PIN)

CALL = {
    "prompt": "a raccoon",
    "negative_prompt": "blurry",
    "num_frames": 6,
    "num_inference_steps": 3,
    "guidance_scale": 3.5,
    "flow_shift": 2.5,
    "sample_solver": "dpm++",
    "seed": 42,
}
SIZE, AREA = {"width": 64, "height": 32}, {"max_area": 2048}
RUNTIME = {
    "dtype": "bf16",
    "generator_device": "cuda",
    "attention": "sdpa",
    "quantization": "none",
    "offload": "none",
    "t5_cpu": False,
    "convert_model_dtype": False,
}


def make(*, image: bool = False, **changes: Any) -> Case:
    """Build a case; a change is merged into the part that it names, and None takes a key away."""
    parts: dict[str, Any] = {
        "id": "tiny",
        "source": "wan22",
        "model": {"repo": "tiny/wan"},
        "config": "ti2v-5B",
        "code": {"repo": "Wan-Video/Wan2.2", "commit": PIN, "paths": ["."]},
        "inputs": [{"path": "picture.png"}] if image else [],
        "call": CALL | (AREA if image else SIZE),
        "runtime": RUNTIME,
    }
    for name, change in changes.items():
        parts[name] = merged(parts.get(name, {}), change) if isinstance(change, dict) else change
    return cast("Case", parts)


def picture(path: Path, size: tuple[int, int], *, mode: str = "RGB", seed: int = 3) -> Path:
    """Write a coarse picture of this width and height."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, len(mode)), dtype=np.uint8)
    Image.fromarray(coarse, mode=mode).resize(size, Image.Resampling.BICUBIC).save(path)
    return path
