"""Which sizes are saved as a case asks for them: what is no such multiple, a pipeline refuses or makes smaller.

The figures are those of the pipelines' own checks (`check_inputs` and `__call__` in Diffusers 0.42, the assertions of
the LTX-2 repository) and of imageio, which enlarges the frames of a video to whole macro blocks.
"""

from __future__ import annotations

from typing import Protocol

MACRO_BLOCK = 16  # pixels a side
LTX_STAGES = {"TI2VidOneStagePipeline": 32, "TI2VidTwoStagesPipeline": 64, "TI2VidTwoStagesHQPipeline": 64}
# By the longest start of a Diffusers class's name.
MULTIPLES = {
    "AnimateDiff": 8,
    "AuraFlow": 16,
    "Bria": 16,
    "Chroma": 16,
    "CogVideoX": 8,
    "CogView3": 8,
    "CogView4": 16,
    "Cosmos": 16,
    "Flux": 16,
    "HunyuanDiT": 8,
    "HunyuanVideo": 16,
    "Kolors": 8,
    "LTX": 32,
    "LongCatImage": 16,
    "Lumina": 16,
    "Mochi": 8,
    "PixArt": 8,
    "QwenImage": 16,
    "Sana": 32,
    "SkyReelsV2": 16,
    "StableDiffusion": 8,
    "StableDiffusion3": 16,
    "Wan": 16,
    "ZImage": 16,
}
SIZELESS = ("QwenImageLayeredPipeline",)  # take neither width nor height: their own resolution applies


class Sized(Protocol):
    """The arguments of a call that say how large its output is."""

    @property
    def width(self) -> int | None:
        """Pixels; None where the inputs or the pipeline decide."""

    @property
    def height(self) -> int | None:
        """Pixels; None where the inputs or the pipeline decide."""


def check(call: Sized, pipeline: str | None, multiple: int = 1, *, video: bool = False) -> None:
    """Raises ValueError with what was expected of a size that could not be saved as it is asked for."""
    sizes = {name: size for name in ("width", "height") if (size := getattr(call, name)) is not None}
    if sizes and pipeline in SIZELESS:
        raise ValueError(f"no call.width and no call.height: {pipeline} takes neither")
    reasons = [(multiple, pipeline), (MACRO_BLOCK if video else 1, "the encoder of a video")]
    multiple, who = max(reasons, key=lambda reason: reason[0])
    if misfits := {name: size for name, size in sizes.items() if size % multiple}:
        words = " and ".join(f"call.{name} {size}" for name, size in misfits.items())
        raise ValueError(f"multiples of {multiple}, which {who} needs; {words} cannot be saved as asked for")


def multiple_of(pipeline: str | None) -> int:
    """What the sides of a Diffusers pipeline's output are multiples of; 1 where that is not known."""
    starts = [start for start in MULTIPLES if (pipeline or "").startswith(start)]
    return MULTIPLES[max(starts, key=len)] if starts else 1
