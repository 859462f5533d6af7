"""From what a pipeline returns to the files of a reference: uint8 RGB, and the published names and encodings."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import SourceError
from .job import Case, Output

Frames = NDArray[np.uint8]  # (frames, height, width, 3), RGB
IMAGE_AXES = 3  # height, width, channels
KEY_FRAMES = ("0", "mid", "last")


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
    if isinstance(part, Image.Image):
        return [np.asarray(part.convert("RGB"))]
    if hasattr(part, "detach"):  # a torch tensor; torch itself is not needed here
        tensor = part.detach().float().cpu() if part.is_floating_point() else part.detach().cpu()
        part = np.moveaxis(tensor.numpy(), -3, -1)
    if not isinstance(part, np.ndarray) or part.ndim < IMAGE_AXES or part.shape[-1] not in (1, 3, 4):
        raise SourceError(f"the pipeline returned {type(part).__name__}, which is no image in a layout that is known")
    pixels = part.reshape(-1, *part.shape[-3:])
    if pixels.dtype != np.uint8:
        # As Diffusers turns floats into PIL images.
        pixels = (pixels.clip(0.0, 1.0) * 255).round().astype(np.uint8)
    rgb = pixels.repeat(3, axis=-1) if pixels.shape[-1] == 1 else pixels[..., :3]
    return list(rgb)


def save(frames: Frames, case: Case, folder: Path) -> list[Path]:
    """Write the files of a case under their published names; returns their paths.

    Raises SourceError where an image case got several images and does not say which one is kept.
    """
    output = case["output"]
    if output["kind"] == "video":
        kept = _through_video(frames, output)
    elif len(frames) > 1 and output.get("keep") != "first":
        raise SourceError(f"the pipeline returned {len(frames)} images; say `keep: first` in the case's output")
    else:
        kept = [frames[0]]
    paths = [folder / name for name in names(case)]
    for path, frame in zip(paths, kept, strict=True):
        _write(frame, path, output)
    return paths


def names(case: Case) -> list[str]:
    """The published names of a case's files."""
    output = case["output"]
    stem = f"{case['id']}_{output['name_gpus']}gpu"
    if output["kind"] == "video":
        return [f"{stem}_frame_{frame}.png" for frame in KEY_FRAMES]
    return [f"{stem}.{output['format']}"]


def _write(frame: Frames, path: Path, output: Output) -> None:
    options: dict[str, Any] = {}
    if path.suffix == ".jpg":
        options = {"format": "JPEG", "quality": output["quality"], "subsampling": output.get("subsampling", "4:2:0")}
    Image.fromarray(frame).save(path, **options)


def _through_video(frames: Frames, output: Output) -> list[Frames]:
    """Encode, then read the first, middle and last frame back: a published frame has been through the codec."""
    import imageio.v2 as imageio  # noqa: PLC0415  # an image case needs no codec

    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        imageio.mimsave(
            video,
            list(frames),
            format="FFMPEG",
            fps=output["fps"],
            codec=output["codec"],
            quality=output["video_quality"],
            # x264's bits depend on its thread count, which it would take from the machine.
            output_params=["-threads", "1"],
        )
        return _read_back(video)


def _read_back(video: Path) -> list[Frames]:
    import cv2  # noqa: PLC0415

    capture = cv2.VideoCapture(str(video))
    decoded = []
    try:
        while (read := capture.read())[0]:
            decoded.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    finally:
        capture.release()
    if not decoded:
        raise SourceError("the encoded video could not be read back; is this build of OpenCV without FFmpeg?")
    return [np.asarray(decoded[index], dtype=np.uint8) for index in (0, len(decoded) // 2, -1)]
