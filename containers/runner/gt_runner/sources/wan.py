"""Runs cases through the official Wan repositories: a video class of theirs, by its own Python API."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gt_pictures.reading import read

from ..errors import SourceError
from . import Generated, onto_gpu, refusals
from .checkout import import_official
from .conditioning import described
from .dtypes import DTYPES
from .hooks import finite, replaced, reported
from .varlen_sdpa import in_place_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from ..contract import Case, Fetched
    from . import Step

# Our names of the arguments, and those of `generate`. Width and height go in as `size`; with an image, `max_area` does.
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
SIZE, AREA = ("width", "height"), ("max_area",)
DRAWS = ("normal_", "uniform_", "xavier_uniform_", "kaiming_uniform_")  # of torch.nn.init, with which new weights start


@dataclass(frozen=True)
class Release:
    """What a repository calls its parts."""

    name: str  # for people
    module: str  # in which the class is
    pipeline: str
    vae: str  # the class of the VAE
    options: tuple[str, ...]  # of the constructor, which a case's runtime names


def load(release: Release, case: Case, fetched: Fetched, device: str) -> LoadedWan:
    """Make an object of the release's class from a checkpoint folder of the original format.

    Raises SourceError for what it cannot do.
    """
    runtime: dict[str, Any] = {**case["runtime"]}
    refusals.check(case, device)
    configs = import_official("wan.configs", case, fetched)
    module = import_official(release.module, case, fetched)
    attention = import_official("wan.modules.attention", case, fetched)
    _check_attention(release, runtime["attention"], attention)
    with replaced(torch.nn.Module, "to", onto_gpu.to), _undrawn():
        model = getattr(module, release.pipeline)(
            config=_config(release, case, configs.WAN_CONFIGS),
            checkpoint_dir=fetched["repositories"][case["model"]["repo"]]["path"],
            device_id=0,
            rank=0,
            **{name: runtime.get(name, False) for name in release.options},
        )
    return LoadedWan(release, model, module, attention)


@contextmanager
def _undrawn() -> Iterator[None]:
    """While open, no new weights are drawn: the checkpoint replaces all, and those of T5 alone take a CPU a minute."""
    with ExitStack() as stack:
        for name in DRAWS:
            stack.enter_context(replaced(torch.nn.init, name, lambda tensor, *_, **__: tensor))
        yield


def _config(release: Release, case: Case, configs: dict[str, Any]) -> Any:
    """Find the case's config, which fixes the dtypes: the case must say the same."""
    name, dtype = case["config"], case["runtime"]["dtype"]
    if name not in configs:
        raise SourceError(f"{release.name} has no config {name!r}; there are {', '.join(configs)}")
    config = configs[name]
    fixed = {config.param_dtype, config.t5_dtype}
    if not isinstance(dtype, str) or fixed != {DTYPES[dtype]}:
        raise SourceError(f"{name} computes in {', '.join(sorted(map(str, fixed)))}, which is not the case's {dtype}")
    return config


def _check_attention(release: Release, name: str, attention: Any) -> None:
    """Refuse a flash_attn that would not be the one used: the implementation takes the newest that it can import."""
    package = None
    if attention.FLASH_ATTN_2_AVAILABLE:
        package = "flash_attn"
    if attention.FLASH_ATTN_3_AVAILABLE:
        package = "flash_attn_3"
    if name not in {"sdpa", package}:
        words = f"would take {package}" if package else "finds no flash_attn package"
        raise SourceError(f"attention {name!r} cannot be had: {release.name} {words} here; sdpa needs none")


class LoadedWan:
    """A model of a Wan repository."""

    def __init__(self, release: Release, model: Any, module: ModuleType, attention: ModuleType) -> None:
        self.release, self.module, self.pipeline = release, module, release.pipeline
        self._model, self._attention = model, attention

    def generate(self, case: Case, inputs: list[Path], step: Step) -> Generated:
        """Call `generate` with what the case names; an argument that it leaves out is an error, not a default."""
        call, name = case["call"], self.release.name
        names = (*ARGUMENTS, *(AREA if inputs else SIZE))
        missing = [argument for argument in names if argument not in call]
        if missing:
            raise SourceError(f"the case's call must name {', '.join(missing)}")
        if not call["negative_prompt"]:
            raise SourceError(f"{name} takes a negative prompt of its own for an empty one: the case must write it out")
        arguments = {official: call[name] for name, official in ARGUMENTS.items()}
        arguments["offload_model"] = case["runtime"].get("offload") == "model"
        size, size_arguments = _size(call, inputs)
        progress = reported(self.module, step, call["num_inference_steps"])
        with self._attention_of(case), progress, replaced(torch.nn.Module, "to", onto_gpu.to):
            video = self._model.generate(**arguments, **size)
        finite(video)
        return Generated(_frames(video), arguments | size_arguments, sorted(set(call) - {*names}))

    def _attention_of(self, case: Case) -> AbstractContextManager[None]:
        """Put SDPA in the place of flash_attn if the case says so: without it the code stops at an assertion."""
        if case["runtime"]["attention"] != "sdpa":
            return nullcontext()
        return in_place_of(self._attention.flash_attention, "wan")


def _size(call: dict[str, Any], inputs: list[Path]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What says how large the video is, and the same as JSON; with an image, its aspect ratio decides."""
    if not inputs:
        sides = [call[name] for name in SIZE]
        return {"size": tuple(sides)}, {"size": sides}
    image = read(inputs[0], normalise=True).opaque  # as upstream opens it: `load_image` of Diffusers, which is RGB
    area = {"max_area": call["max_area"]}
    return {"img": image, **area}, {"img": described(image), **area}


def _frames(video: torch.Tensor) -> NDArray[np.uint8]:
    """Turn (channels, frames, height, width) in -1..1 into frames of 0..255, each by itself as upstream does."""
    return np.stack([_to_uint8(frame) for frame in video.permute(1, 2, 3, 0).float().cpu().numpy()])


def _to_uint8(frame: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Truncate to 8 bits; a frame without negative values counts as one of 0..1, not of -1..1."""
    unit = (frame + 1) / 2 if frame.min() < 0 else frame
    return (unit.clip(0, 1) * 255).astype(np.uint8)
