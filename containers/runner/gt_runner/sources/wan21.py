"""Runs cases through the official Wan2.1 repository: its text-to-video class, by its own Python API."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import SourceError
from . import Generated, onto_gpu, refusals
from .checkout import import_official
from .hooks import finite, replaced, reported
from .varlen_sdpa import in_place_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from ..contract import Case, Fetched
    from . import Step

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

# Our names of the arguments, and those of `WanT2V.generate`; width and height go in as `size`.
ARGUMENTS = {
    "prompt": "input_prompt",
    "negative_prompt": "n_prompt",
    "num_frames": "frame_num",
    "flow_shift": "shift",
    "sample_solver": "sample_solver",
    "num_inference_steps": "sampling_steps",
    "guidance_scale": "guide_scale",
    "seed": "seed",
}
SIZE = ("width", "height")


def load(case: Case, fetched: Fetched, device: str) -> LoadedWan:
    """Load text encoder, transformer and VAE from the checkpoint folder of the original format."""
    runtime: dict[str, Any] = {**case["runtime"]}
    refusals.check(case, device)
    configs = import_official("wan.configs", case, fetched)
    text2video = import_official("wan.text2video", case, fetched)
    attention = import_official("wan.modules.attention", case, fetched)
    _check_attention(runtime["attention"], attention)
    with replaced(torch.nn.Module, "to", onto_gpu.to):
        model = text2video.WanT2V(
            config=_config(case, configs.WAN_CONFIGS),
            checkpoint_dir=fetched["repositories"][case["model"]["repo"]]["path"],
            device_id=0,
            rank=0,
            t5_cpu=runtime.get("t5_cpu", False),
        )
    return LoadedWan(model, text2video, attention)


def _config(case: Case, configs: dict[str, Any]) -> Any:
    """Find the case's config, which fixes the dtypes: the case must say the same."""
    name, dtype = case["config"], case["runtime"]["dtype"]
    if name not in configs:
        raise SourceError(f"Wan2.1 has no config {name!r}; there are {', '.join(configs)}")
    config = configs[name]
    fixed = {config.param_dtype, config.t5_dtype}
    if not isinstance(dtype, str) or fixed != {DTYPES[dtype]}:
        raise SourceError(f"{name} computes in {', '.join(sorted(map(str, fixed)))}, which is not the case's {dtype}")
    return config


def _check_attention(name: str, attention: Any) -> None:
    """Refuse a flash_attn that would not be the one used: the implementation takes the newest that it can import."""
    newest = None
    if attention.FLASH_ATTN_2_AVAILABLE:
        newest = "flash_attn"
    if attention.FLASH_ATTN_3_AVAILABLE:
        newest = "flash_attn_3"
    if name not in {"sdpa", newest}:
        own = f"would take {newest}" if newest else "finds no flash_attn package"
        raise SourceError(f"attention {name!r} cannot be had: Wan2.1 {own} here; sdpa needs none")


class LoadedWan:
    """Wan2.1's text-to-video model."""

    pipeline = "WanT2V"

    def __init__(self, model: Any, text2video: ModuleType, attention: ModuleType) -> None:
        self._model, self._text2video, self._attention = model, text2video, attention

    def generate(self, case: Case, inputs: list[Path], step: Step) -> Generated:  # noqa: ARG002  # it takes no image
        """Call `generate` with what the case names; an argument that it leaves out is an error, not a default."""
        call = case["call"]
        missing = [name for name in (*ARGUMENTS, *SIZE) if name not in call]
        if missing:
            raise SourceError(f"the case's call must name {', '.join(missing)}")
        if not call["negative_prompt"]:
            raise SourceError("Wan2.1 takes a negative prompt of its own for an empty one: the case must write it out")
        arguments = {official: call[name] for name, official in ARGUMENTS.items()}
        arguments["size"] = (call["width"], call["height"])
        arguments["offload_model"] = case["runtime"].get("offload") == "model"
        dropped = sorted(set(call) - {*ARGUMENTS, *SIZE})
        progress = reported(self._text2video, step, call["num_inference_steps"])
        with self._attention_of(case), progress:
            video = self._model.generate(**arguments)
        finite(video)
        return Generated(_frames(video), arguments | {"size": list(arguments["size"])}, dropped)

    def _attention_of(self, case: Case) -> AbstractContextManager[None]:
        """Put SDPA in the place of flash_attn if the case says so: without it Wan2.1 stops at an assertion."""
        if case["runtime"]["attention"] != "sdpa":
            return nullcontext()
        return in_place_of(self._attention.flash_attention, "wan")


def _frames(video: torch.Tensor) -> NDArray[np.uint8]:
    """Turn (channels, frames, height, width) in -1..1 into frames of 0..255, each by itself as upstream does."""
    return np.stack([_to_uint8(frame) for frame in video.permute(1, 2, 3, 0).float().cpu().numpy()])


def _to_uint8(frame: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Truncate to 8 bits; a frame without negative values counts as one of 0..1, not of -1..1."""
    unit = (frame + 1) / 2 if frame.min() < 0 else frame
    return (unit.clip(0, 1) * 255).astype(np.uint8)
