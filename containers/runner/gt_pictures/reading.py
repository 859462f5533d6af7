"""Opens images. Whatever is no plain RGB image has one decision for each of two uses.

*References* (GT, published GT, a serving engine's output) are refused for anything that two readers may see differently
or that a comparison would not see: a format that is not the name's, a palette, greyscale, CMYK, 16 bits a channel, a
transparent colour, an EXIF orientation, a colour profile other than sRGB, more than one frame, bytes after the end.
Alpha is kept; who compares or publishes decides on it.

*Inputs* are normalised as `diffusers.utils.load_image` does: turned by their EXIF orientation, then RGB, or RGBA where
they have transparency, which the case's conditioning keeps or drops. Colour profiles are not applied there, and not
here; of many frames the first is taken; 16 bits become the upper 8 (Pillow alone turns 16-bit grey white). What was
changed stands in `Picture.notes`.

Both refuse other formats, truncated files, PNG files with a wrong checksum, and more than MOST_PIXELS, the last before
anything is decoded.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from . import layout
from .errors import PictureError

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}  # by what a name ends in
MOST_PIXELS = 8192 * 8192
MOST_BYTES = 256 * 1024 * 1024
TOO_LARGE = f"unreadable: more than {MOST_PIXELS} pixels"
ORIENTATION = 0x0112  # the EXIF tag
PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # of sRGB: x and y of white, red, green and blue
NEAR = 0.01  # of a gamma or a primary to that of sRGB
ROUNDED = 4  # of 255: how far the profiles that cameras and programs call sRGB round
END = b"\xff\xd9"  # of a JPEG file
CODES = bytes(range(255))  # entropy-coded data without 0xFF, and first what makes a 0xFF before it data
MORE_CODES = CODES + b"".join(b"\xff" + bytes([0xD0 + number]) + CODES[32 * number + 1 :] for number in range(8))
MODES = {"1": "black and white", "L": "greyscale", "LA": "greyscale with alpha", "P": "a palette", "PA": "a palette"}

Rgb = NDArray[np.uint8]  # (height, width, 3)
Alpha = NDArray[np.uint8]  # (height, width)


@dataclass(frozen=True)
class Picture:
    """A decoded image, RGB or RGBA with 8 bits a channel."""

    format: str
    image: Image.Image
    notes: tuple[str, ...] = ()  # of an input: what was not plain in the file, and is now

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    @cached_property
    def opaque(self) -> Image.Image:
        """The colours alone: alpha is dropped, as by everybody who reads GT."""
        return self.image if self.image.mode == "RGB" else self.image.convert("RGB")

    @cached_property
    def rgb(self) -> Rgb:
        """The colours as numbers."""
        return np.asarray(self.opaque)

    @cached_property
    def alpha(self) -> Alpha | None:
        """0..255; None where all of the image is opaque."""
        if self.image.mode != "RGBA" or self.image.getchannel("A").getextrema() == (255, 255):
            return None
        return np.asarray(self.image.getchannel("A"))


def is_image(path: PurePath) -> bool:
    """Whether a file's name says that it is an image."""
    return path.suffix.lower() in FORMATS


def twins(names: Iterable[str]) -> dict[str, list[str]]:
    """The image names that differ in nothing but their suffix, by what they share: it is not known which one counts."""
    stems: dict[str, list[str]] = {}
    for path in sorted(map(PurePath, names)):
        if is_image(path):
            stems.setdefault(path.stem, []).append(path.name)
    return {stem: names for stem, names in stems.items() if len(names) > 1}


def content(path: Path) -> bytes:
    """The bytes of an image file. Raises PictureError, also for a pipe, which would never end, and too large a file."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise PictureError(f"unreadable: {error.strerror}") from None
    if stat.S_ISREG(status.st_mode):
        raise PictureError(f"unreadable: {status.st_size} bytes, at most {MOST_BYTES} are read")
    raise PictureError("unreadable: it is no regular file")


def read(path: Path, *, normalise: bool = False) -> Picture:
    """The image in a file; see `decode`. Raises PictureError."""
    return decode(content(path), path.name, normalise=normalise)


def plain_files(paths: Iterable[Path], folder: Path) -> list[Path]:
    """Inputs for an implementation that opens them by itself: what is not plain is written into `folder` as RGB.

    Raises PictureError.
    """
    files = []
    for number, path in enumerate(paths):
        picture, copy = read(path, normalise=True), folder / f"{number}.png"
        if picture.notes:
            picture.opaque.save(copy)
        files.append(copy if picture.notes else path)
    return files


def decode(data: bytes, name: str, *, normalise: bool = False) -> Picture:
    """The image in a file's bytes; `normalise` for an input, not for a reference. Raises PictureError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is decided on here
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
                return _picture(image, data, name, normalise=normalise)
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError("unreadable: it is no JPEG, PNG or WebP image") from None
    except Image.DecompressionBombError:  # Pillow's own limit is higher
        raise PictureError(TOO_LARGE) from None
    except Exception as error:  # noqa: BLE001  # decoders raise errors of any type for damaged bytes
        line = (str(error).splitlines() or [type(error).__name__])[0]
        truncated = "truncated" in line.lower() or isinstance(error, EOFError)
        raise PictureError(f"{'truncated' if truncated else 'unreadable'}: {line}") from None


def _picture(image: Image.Image, data: bytes, name: str, *, normalise: bool) -> Picture:
    if image.width * image.height > MOST_PIXELS:
        raise PictureError(TOO_LARGE)
    image.load()
    kind = {"MPO": "JPEG"}.get(image.format or "", image.format or "")  # MPO: a JPEG with further images behind it
    end = layout.end(kind, data)
    if end is None:
        raise PictureError(f"truncated: the file has no end mark of {kind}")
    if kind == "JPEG" and _is_cut(data[: end - len(END)]):
        raise PictureError("truncated: the file lacks pixels before its end mark")
    if kind == "PNG":
        if not layout.all_rows(data):
            raise PictureError("truncated: the file lacks rows of pixels")
        _check_sums(data)
    kind_of_name = FORMATS.get(PurePath(name).suffix.lower(), kind)
    if kind != kind_of_name and not normalise:
        raise PictureError(f"wrong format: {kind}, the name says {kind_of_name}")
    notes = [f"{kind} named as {kind_of_name}"] if kind != kind_of_name else []
    notes += _oddities(image, data, kind)
    notes += [f"{len(data) - end} bytes after its end"] if end < len(data) else []
    if notes and not normalise:
        raise PictureError(f"not plain RGB: {', '.join(notes)}; save it as an sRGB image of one frame and 8 bits")
    picture = Picture(kind, _plain(image), tuple(notes))
    if not normalise and picture.image.mode == "RGBA" and picture.image.getchannel("A").getextrema() == (0, 0):
        raise PictureError("fully transparent: it shows nothing")
    return picture


def _is_cut(data: bytes) -> bool:
    """Whether a JPEG file without its end mark lacks pixels: those that libjpeg makes up change with what follows.

    By an eighth of the size, unless fine scans come last, so a cut within the last blocks of 8 x 8 may not be seen.
    Files with arithmetic codes, which may leave out their last bytes, are not looked at.
    """
    frame = layout.frame(data)
    if frame not in (*layout.BASELINE, layout.PROGRESSIVE):
        return False

    def pixels(file: bytes) -> bytes:
        with Image.open(io.BytesIO(file), formats=("JPEG",)) as image:
            if frame != layout.PROGRESSIVE:
                image.draft(image.mode, (1, 1))
            return image.tobytes()

    return pixels(data + END) != pixels(data + MORE_CODES + END)


def _check_sums(data: bytes) -> None:
    """Raises PictureError for a PNG file with a wrong checksum: Pillow compares those of pixels here alone."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.verify()
    except SyntaxError:
        raise PictureError("damaged: a checksum of the PNG file is wrong") from None


def _oddities(image: Image.Image, data: bytes, kind: str) -> Iterator[str]:
    """What the decoded image holds that is not plain RGB or RGBA."""
    if image.mode not in ("RGB", "RGBA"):
        yield MODES.get(image.mode, "greyscale" if image.mode.startswith("I") else image.mode)
    elif image.mode == "RGB" and "transparency" in image.info:
        yield "a transparent colour"
    if kind == "PNG" and layout.bits(data) > 8:  # noqa: PLR2004
        yield f"{layout.bits(data)} bits a channel"
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        yield f"{frames} frames"
    orientation = image.getexif().get(ORIENTATION, 1)
    if orientation in range(2, 9):
        yield f"EXIF orientation {orientation}"
    yield from _colour_space(image, data, kind)


def _colour_space(image: Image.Image, data: bytes, kind: str) -> Iterator[str]:
    profile, gamma, primaries = (image.info.get(what) for what in ("icc_profile", "gamma", "chromaticity"))
    if profile:
        name = _profile_name(profile)
        if "srgb" not in name.lower() or not _is_srgb(profile):
            yield f"colour profile {name!r}"
    elif "srgb" not in image.info:
        if gamma and abs(gamma - 1 / 2.2) > NEAR:  # as sRGB files write it
            yield f"gamma {gamma:g}"
        if primaries and any(abs(one - other) > NEAR for one, other in zip(primaries, PRIMARIES, strict=True)):
            yield "primaries that are not sRGB's"
    if kind == "PNG" and layout.coding(data) not in (None, layout.SRGB):
        yield "a colour space by code points (cICP) that is not sRGB"


def _is_srgb(profile: bytes) -> bool:
    """Whether a profile gives the colours of sRGB, whatever its name says."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        result = ImageCms.profileToProfile(Image.fromarray(colours), source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, ImportError):
        return False
    return bool(np.abs(np.asarray(result, np.int16) - colours).max() <= ROUNDED)


def _profile_name(profile: bytes) -> str:
    try:
        description: Any = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        return str(description).strip()[:60]
    except (ImageCms.PyCMSError, OSError, ValueError, ImportError):
        return "unreadable"


def _plain(image: Image.Image) -> Image.Image:
    """A copy in RGB, or in RGBA where it has transparency, turned by its EXIF orientation."""
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
