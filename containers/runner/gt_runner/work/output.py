"""From frames to the files of a reference: the published names and encodings."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..contract import Case, Output
from ..errors import SourceError
from ..sources.frames import Frames

KEY_FRAMES = ("0", "mid", "last")


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
