"""Turns the data of a case into the values that the Python API of the LTX-2 repository takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SourceError

if TYPE_CHECKING:
    from ..contract import Case, Fetched

Official = Callable[[str], Any]  # imports a module of the implementation by its name

# Our names of arguments that the pipelines call otherwise.
RENAMED = {
    "fps": "frame_rate",
    "video_guider": "video_guider_params",
    "audio_guider": "audio_guider_params",
    "tiling": "tiling_config",
}
# By these the implementation finds the folders of the text encoder.
MARKS = ("model*.safetensors", "tokenizer.model", "preprocessor_config.json")


def options(case: Case, fetched: Fetched, official: Official) -> dict[str, Any]:
    """Name the files of the checkpoint as the pipelines' constructors do.

    `distilled_lora_strengths` holds one strength for each stage that takes the LoRA: the last is that of stage 2.
    """
    checkpoint, model = case["checkpoint"], _folder(case["model"]["repo"], fetched)
    options: dict[str, Any] = {
        "checkpoint_path": _file(model, checkpoint["file"]),
        "gemma_root": _gemma_root(_folder(case["text_encoder"]["repo"], fetched)),
        "loras": tuple(_loras(case, fetched, official)),
    }
    if checkpoint.get("spatial_upsampler"):
        options["spatial_upsampler_path"] = _file(model, checkpoint["spatial_upsampler"])
    if checkpoint.get("distilled_lora"):
        strengths = checkpoint["distilled_lora_strengths"]
        options["distilled_lora"] = [_lora(_file(model, checkpoint["distilled_lora"]), strengths[-1], official)]
        if len(strengths) > 1:
            options |= {f"distilled_lora_strength_stage_{stage}": each for stage, each in enumerate(strengths, start=1)}
    return options


def quantization(name: str | None, official: Official) -> Any:
    """Make the policy of a quantization by the repository's own name of it."""
    if name in {None, "none"}:
        return None
    if name != "fp8-cast":
        raise SourceError(f"quantization {name!r} is not supported; there are none and fp8-cast")
    return official("ltx_core.quantization").QuantizationPolicy.fp8_cast()


def arguments(call: dict[str, Any], inputs: list[Path], official: Official) -> dict[str, Any]:
    """Make the arguments of a pipeline's call, under its names."""
    make: dict[str, Callable[[Any], Any]] = {
        "fps": float,
        "video_guider": lambda value: _guider(value, official),
        "audio_guider": lambda value: _guider(value, official),
        "tiling": lambda value: _tiling(value, official),
        "images": lambda value: [_image(each, inputs, official) for each in value],
        "stage_2_sigmas": torch.tensor,
    }
    return {RENAMED.get(name, name): make[name](value) if name in make else value for name, value in call.items()}


def _loras(case: Case, fetched: Fetched, official: Official) -> list[Any]:
    return [
        _lora(_file(_folder(lora["repo"], fetched), lora["file"]), lora.get("strength", 1.0), official)
        for lora in case.get("loras", [])
    ]


def _lora(path: str, strength: float, official: Official) -> Any:
    loader = official("ltx_core.loader")
    return loader.LoraPathStrengthAndSDOps(path, strength, loader.LTXV_LORA_COMFY_RENAMING_MAP)


def _guider(values: dict[str, Any], official: Official) -> Any:
    """Make a guider; a value that is left out would be the repository's default, which differs between its models."""
    params = official("ltx_core.components.guiders").MultiModalGuiderParams
    names = {field.name for field in fields(params)}
    if set(values) != names:
        raise SourceError(f"a guider has just {', '.join(sorted(names))}; the case's differs in {names ^ set(values)}")
    return params(**values)


def _tiling(values: dict[str, int] | None, official: Official) -> Any:
    if values is None:
        return None
    tiling = official("ltx_core.model.video_vae.tiling")
    return tiling.TilingConfig(
        spatial_config=tiling.SpatialTilingConfig(
            tile_size_in_pixels=values["spatial_tile_px"], tile_overlap_in_pixels=values["spatial_overlap_px"]
        ),
        temporal_config=tiling.TemporalTilingConfig(
            tile_size_in_frames=values["temporal_tile_frames"], tile_overlap_in_frames=values["temporal_overlap_frames"]
        ),
    )


def _image(values: dict[str, Any], inputs: list[Path], official: Official) -> Any:
    conditioning = official("ltx_pipelines.utils.args").ImageConditioningInput
    rest = {name: value for name, value in values.items() if name != "input"}
    return conditioning(path=str(inputs[values["input"]]), **rest)


def _folder(repo: str, fetched: Fetched) -> Path:
    return Path(fetched["repositories"][repo]["path"])


def _file(folder: Path, name: str) -> str:
    if not (folder / name).is_file():
        raise SourceError(f"{name} was not fetched: its repository has none, or the case's `files` leave it out")
    return str(folder / name)


def _gemma_root(folder: Path) -> str:
    """Check that the repository's search for the parts of the text encoder can end in one place only.

    It takes the first match of each name under this folder, in the order of the file system.
    """
    for name in MARKS:
        places = {path.parent for path in folder.rglob(name)}
        if len(places) != 1:
            folders = ", ".join(sorted(place.relative_to(folder).as_posix() for place in places)) or "nowhere"
            raise SourceError(f"the text encoder's {name} must lie in one folder of its repository; it lies {folders}")
    return str(folder)
