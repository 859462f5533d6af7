"""From frames to the files of a reference: the published names, encodings and sizes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gt_pictures import names

from ..contract import Case, Output
from ..errors import SourceError
from ..sources.frames import Frames

GRIDS = (8, 16, 32)  # sides that pipelines floor a request to: the VAE's factor, and patches of 2 or 4 on top of it


def resized(frames: Frames, passed: Mapping[str, Any]) -> dict[str, Any] | None:
    """The size in pixels that reached the implementation and why the frames have another one; None where they have it.

    Raises SourceError where they have another size for no reason that is known.
    """
    width, height = passed.get("size") or (passed.get("width"), passed.get("height"))
    size = frames.shape[2], frames.shape[1]
    if width is None or height is None or size == (width, height):
        return None
    for grid in GRIDS:
        if size == (width // grid * grid, height // grid * grid):
            return {"width": width, "height": height, "reason": f"the pipeline floors sides to multiples of {grid}"}
    raise SourceError(f"{width} x {height} pixels were asked for, and the pipeline returned {size[0]} x {size[1]}")


def save(frames: Frames, case: Case, folder: Path) -> list[Path]:
    """Write the files of a case under their published names; returns their paths.

    Raises SourceError where an image case got several images and does not say which one is kept.
    """
    output = case["output"]
    if output["kind"] == "video":
        pictures = _through_video(frames, output)
    elif len(frames) > 1 and output.get("keep") != "first":
        raise SourceError(f"the pipeline returned {len(frames)} images; say `keep: first` in the case's output")
    else:
        pictures = [frames[0]]
    paths = [folder / name for name in names.of(case["id"], output)]
    for path, frame in zip(paths, pictures, strict=True):
        _write(frame, path, output)
    return paths


def _write(frame: Frames, path: Path, output: Output) -> None:
    options: dict[str, Any] = {}
    if path.suffix == ".jpg":
        options = {"format": "JPEG", "quality": output["quality"], "subsampling": output.get("subsampling", "4:2:0")}
    Image.fromarray(frame).save(path, **options)


def _through_video(frames: Frames, output: Output) -> list[Frames]:
    """Encode, then read the first, middle and last frame back: a published frame has been through the codec.

    Its chroma needs even sides: an odd one is encoded with its last row or column twice, and cut again.
    """
    import imageio.v2 as imageio  # noqa: PLC0415  # an image case needs no codec

    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        imageio.mimsave(
            video,
            list(even),
            format="FFMPEG",
            fps=output["fps"],
            codec=output["codec"],
            quality=output["video_quality"],
            macro_block_size=1,  # imageio would scale other sides than multiples of 16
            # x264's bits depend on its thread count, which it would take from the machine.
            output_params=["-threads", "1"],
        )
        pictures = _read_back(video)
    if pictures[0].shape != even.shape[1:]:
        raise SourceError(f"codec {output['codec']} does not hold frames of {width} x {height} pixels")
    return [frame[:height, :width] for frame in pictures]


def _read_back(video: Path) -> list[Frames]:
    import cv2  # noqa: PLC0415

    capture = cv2.VideoCapture(str(video))
    pictures = []
    try:
        while (answer := capture.read())[0]:
            pictures.append(cv2.cvtColor(answer[1], cv2.COLOR_BGR2RGB))
    finally:
        capture.release()
    if not pictures:
        raise SourceError("the encoded video could not be read back; is this build of OpenCV without FFmpeg?")
    return [np.asarray(pictures[index], dtype=np.uint8) for index in (0, len(pictures) // 2, -1)]
