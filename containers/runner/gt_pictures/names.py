"""The published names of a case's files, and what such a name says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

KEY_FRAMES = ("0", "mid", "last")  # of a video
_NAME = re.compile(rf"(?P<case>.+)_\d+gpu(?P<frame>_frame_(?:{'|'.join(KEY_FRAMES)}))?\.\w+")


def of(case: str, output: Mapping[str, object]) -> list[str]:
    """The names of the files that a case makes; `output` as the case has it."""
    stem = f"{case}_{output['name_gpus']}gpu"
    if output["kind"] == "video":
        return [f"{stem}_frame_{frame}.png" for frame in KEY_FRAMES]
    return [f"{stem}.{output['format']}"]


def case_of(name: str) -> str:
    """The case that a file belongs to."""
    parts = _NAME.fullmatch(name)
    return parts["case"] if parts else PurePath(name).stem


def is_frame(name: str) -> bool:
    """Whether a file is a frame of a video."""
    parts = _NAME.fullmatch(name)
    return bool(parts and parts["frame"])
