"""Normalises what a pipeline returns to uint8 RGB frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import SourceError

Frames = NDArray[np.uint8]  # (frames, height, width, 3), RGB
IMAGE_AXES = 3  # height, width, channels
IMAGE_MODES = ("RGB", "RGBA", "L", "LA", "P")  # of PIL, 8 bits a channel


def to_frames(result: Any) -> Frames:
    """Normalise one result to uint8 RGB of shape (frames, height, width, 3).

    Takes a PIL image, a list of them, a numpy array (…, height, width, channels) or a torch tensor (…, channels,
    height, width), with values 0..1 where it holds floats; lists of any of these, a batch of one or a set of layers
    included, are flattened. Alpha is dropped. Raises SourceError for anything else.
    """
    frames = [frame for part in _flatten(result) for frame in _frames(part)]
    if not frames or len({frame.shape for frame in frames}) != 1:
        raise SourceError(
            f"the pipeline returned frames of shapes {sorted({frame.shape for frame in frames})}; expected one"
        )
    return np.stack(frames)


def _flatten(result: Any) -> Sequence[Any]:
    if isinstance(result, list | tuple):
        return [part for inner in result for part in _flatten(inner)]
    return [result]


def _frames(part: Any) -> list[Frames]:
    if isinstance(part, Image.Image) and part.mode in IMAGE_MODES:
        return [np.asarray(part.convert("RGB"))]
    if hasattr(part, "detach"):  # a torch tensor; torch itself is not needed here
        tensor = part.detach().float().cpu() if part.is_floating_point() else part.detach().cpu()
        part = np.moveaxis(tensor.numpy(), -3, -1) if tensor.ndim >= IMAGE_AXES else tensor.numpy()
    if not isinstance(part, np.ndarray) or part.ndim < IMAGE_AXES or part.shape[-1] not in (1, 3, 4):
        raise SourceError(f"the pipeline returned {_described(part)}, which is no image in a layout that is known")
    pixels = part.reshape(-1, *part.shape[-3:])
    if pixels.dtype != np.uint8:
        if not np.issubdtype(pixels.dtype, np.floating) or not (pixels.min() >= 0 and pixels.max() <= 1):  # NaN too
            raise SourceError(
                f"the pipeline returned {_described(part)}, values from {pixels.min():g} to {pixels.max():g}; an image "
                "has floats of 0..1 or 8-bit integers, so these may be latents"
            )
        pixels = (pixels * 255).round().astype(np.uint8)  # as Diffusers turns floats into PIL images
    rgb = pixels.repeat(3, axis=-1) if pixels.shape[-1] == 1 else pixels[..., :3]
    return list(rgb)


def _described(part: Any) -> str:
    if isinstance(part, Image.Image):
        return f"an image of mode {part.mode}"
    return f"{part.dtype} of shape {part.shape}" if isinstance(part, np.ndarray) else type(part).__name__
