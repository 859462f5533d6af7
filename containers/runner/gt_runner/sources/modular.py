"""Loads and calls a modular pipeline of Diffusers, for repositories that hold nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from diffusers import ModularPipeline
from diffusers.modular_pipelines.modular_pipeline import LoopSequentialPipelineBlocks

from ..errors import SourceError

INDEX, PLAIN_INDEX = "modular_model_index.json", "model_index.json"
# Outputs, and what other pipelines call them.
RESULTS = {"images": "images", "image": "images", "videos": "frames", "frames": "frames"}
LOOP = LoopSequentialPipelineBlocks  # its progress bar is that of the denoising steps


def alone(folder: Path) -> bool:
    """Whether a repository has a modular pipeline and no other one."""
    return (folder / INDEX).is_file() and not (folder / PLAIN_INDEX).is_file()


def load(folder: Path, dtype: Any, variant: str | None) -> Any:
    """The pipeline with all its components. Raises SourceError where they lie in other repositories."""
    pipeline = ModularPipeline.from_pretrained(str(folder), local_files_only=True)
    specs = {name: spec for name, spec in pipeline._component_specs.items() if spec.pretrained_model_name_or_path}
    elsewhere = [
        f"{name} ({spec.pretrained_model_name_or_path})"
        for name, spec in specs.items()
        if Path(spec.pretrained_model_name_or_path) != folder
    ]
    if elsewhere:
        names = ", ".join(elsewhere)
        raise SourceError(f"{INDEX} names components of other repositories, which are not fetched: {names}")
    pipeline.load_components(dtype=dtype, variant=variant, local_files_only=True)
    missing = [name for name in specs if getattr(pipeline, name, None) is None]
    if missing:
        raise SourceError(f"{', '.join(missing)} could not be loaded from {INDEX}; the log says why")
    return pipeline


def call(pipeline: Any, arguments: dict[str, Any]) -> Any:
    """What the pipeline makes, under the names that other pipelines have. Raises SourceError where it makes neither."""
    output = next((name for name in RESULTS if name in pipeline.blocks.output_names), None)
    if output is None:
        outputs = ", ".join(pipeline.blocks.output_names)
        raise SourceError(f"{type(pipeline).__name__} gives {outputs}: neither an image nor a video")
    return SimpleNamespace(**{RESULTS[output]: pipeline(output=output, **arguments)})
