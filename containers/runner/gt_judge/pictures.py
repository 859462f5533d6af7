"""Image files as they lie on disk: read whole, or refused with the reason."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .errors import JudgeError

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}  # upstream's image extensions
# Start of the last data, and the mark that must follow it: a file that was cut off behind its last pixel decodes.
MARKS = {"JPEG": (b"\xff\xda", b"\xff\xd9"), "PNG": (b"IDAT", b"IEND\xaeB`\x82")}

Rgb = NDArray[np.uint8]  # (height, width, 3)
Plane = NDArray[np.float32]  # (height, width), 0..1

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class PictureError(JudgeError):
    """A file that is no whole image; the message says in what way."""


@dataclass(frozen=True)
class Picture:
    """One decoded image."""

    format: str
    mode: str
    rgb: Rgb

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.rgb.shape[:2]
        return width, height

    @property
    def image(self) -> Image.Image:
        """As Pillow has it, in RGB; alpha is dropped, as by everybody who reads GT."""
        return Image.fromarray(self.rgb)


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image."""
    return path.suffix.lower() in FORMATS


def decode(data: bytes) -> Picture:
    """Decode a whole image. Raises PictureError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                kind = image.format or ""
                image.load()
                picture = Picture(kind, image.mode, np.asarray(image.convert("RGB")))
    except UnidentifiedImageError:
        raise PictureError("unreadable: no image format that is known") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(f"unreadable: more than {Image.MAX_IMAGE_PIXELS} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for broken files
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise PictureError(f"{'truncated' if cut else 'unreadable'}: {_line(error)}") from None
    start, end = MARKS.get(kind, (b"", b""))
    if data.rfind(end) < data.rfind(start):
        raise PictureError(f"truncated: the file has no end mark of {kind}")
    return picture


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def luma(rgb: Rgb) -> Plane:
    """Luma, 0..1."""
    plane: Plane = (rgb.astype(np.float32) @ LUMA) / np.float32(255)
    return plane


def shrunk(image: Image.Image, side: int) -> Rgb:
    """A bicubic copy that is at most so many pixels a side; never larger than the image."""
    copy = image.copy()
    copy.thumbnail((side, side), Image.Resampling.BICUBIC)
    return np.asarray(copy)


def resized(image: Image.Image, size: tuple[int, int]) -> Rgb:
    """A bicubic copy of this width and height."""
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))
