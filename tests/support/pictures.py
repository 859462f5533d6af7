"""Pictures that a quality gate finds nothing wrong with, artifacts of them, and the ways to spoil one."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ci.artifact.manifest import Manifest
from tests.support.records import DIGEST, manifest

Spoil = Callable[[Image.Image], Image.Image]
SIZE = (320, 256)


def scene(seed: int, size: tuple[int, int] = SIZE, shapes: int = 60) -> Image.Image:
    """A drawing: shapes with outlines, and a little texture."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(random.integers(60, 220, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(shapes):
        x, y = (int(random.integers(-side // 8, side)) for side in size)
        width, height = (int(random.integers(side // 16, side // 3)) for side in size)
        paint = draw.ellipse if random.random() < 0.5 else draw.rectangle
        paint((x, y, x + width, y + height), fill=tuple(random.integers(0, 256, 3).tolist()), outline=(0, 0, 0))
    return added(2, seed)(image)


def added(sigma: float, seed: int = 0) -> Spoil:
    """Noise on top of an image."""

    def spoil(image: Image.Image) -> Image.Image:
        random = np.random.default_rng(seed)
        return from_array(np.asarray(image).astype(float) + random.normal(0, sigma, (image.height, image.width, 3)))

    return spoil


def from_array(array: Any) -> Image.Image:
    """An image of whatever numbers."""
    return Image.fromarray(np.clip(array, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, name: str, quality: int = 75) -> bytes:
    """As published files are encoded."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"format": "JPEG", "quality": quality} if name.endswith("jpg") else {"format": "PNG"}
    image.save(buffer, **options)
    return buffer.getvalue()


def write(folder: Path, images: Mapping[str, Image.Image | bytes]) -> Path:
    """A directory of images without a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        (folder / name).write_bytes(image if isinstance(image, bytes) else encoded(image, name))
    return folder


def artifact(
    folder: Path, images: Mapping[str, Image.Image], source: str = "diffusers", kind: str = "h100", **changes: Any
) -> Path:
    """An artifact of image cases; `changes` go into each case's record."""
    write(folder, images)
    made = manifest(dict.fromkeys((name.rpartition("_")[0] for name in images), "ok"))
    data = json.loads(made.text())
    for name, image in images.items():
        record = data["cases"][name.rpartition("_")[0]]
        record |= _record(folder / name, image, source, kind) | changes
    (folder / "manifest.json").write_text(Manifest.model_validate(data).text())
    return folder


def _record(path: Path, image: Image.Image, source: str, kind: str) -> dict[str, Any]:
    content, name = path.read_bytes(), path.name
    width, height = image.size
    digest = hashlib.sha256(content).hexdigest()
    return {
        "source": source,
        "case": {
            "id": name.rpartition("_")[0],
            "needs": {"gpu": kind},
            "call": {"width": width, "height": height, "prompt": "a cat"},
            "output": {"kind": "image", "format": path.suffix[1:], "name_gpus": 1},
        },
        "key": DIGEST,
        "gpu": {"kind": kind, "name": None, "memory_bytes": None},
        "passed": {"width": width, "height": height, "prompt": "a cat"},
        "files": [{"name": name, "size": len(content), "sha256": digest, "width": width, "height": height}],
    }


def _ramp(image: Image.Image) -> Iterator[Any]:
    yield from np.mgrid[0 : 1 : image.height * 1j, 0 : 1 : image.width * 1j]


def _grey(plane: Any) -> Image.Image:
    return from_array(np.repeat(255 * plane[..., None], 3, axis=2))


def diagonal(image: Image.Image) -> Image.Image:
    """A gradient from corner to corner."""
    y, x = _ramp(image)
    return _grey((x + y) / 2)


def radial(image: Image.Image) -> Image.Image:
    """A gradient from the middle."""
    y, x = _ramp(image)
    return _grey(np.hypot(x - 0.5, y - 0.5))


def blurred(radius: float) -> Spoil:
    """A Gaussian blur."""
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius))


def noise(image: Image.Image) -> Image.Image:
    """Nothing but noise."""
    return from_array(np.random.default_rng(0).integers(0, 256, (image.height, image.width, 3)))


def rolled(right: int, down: int) -> Spoil:
    """Moved, what leaves on one side coming back on the other."""
    return lambda image: from_array(np.roll(np.asarray(image), (down, right), (0, 1)))


def moved(right: int, down: int) -> Spoil:
    """Moved, with black where nothing was."""

    def spoil(image: Image.Image) -> Image.Image:
        canvas = Image.new("RGB", image.size)
        canvas.paste(image, (right, down))
        return canvas

    return spoil


def cropped(share: float, corner: bool = False) -> Spoil:
    """A part of the image, enlarged to its size."""

    def spoil(image: Image.Image) -> Image.Image:
        width, height = round(image.width * share), round(image.height * share)
        left, top = (0, 0) if corner else ((image.width - width) // 2, (image.height - height) // 2)
        part = image.crop((left, top, left + width, top + height))
        return part.resize(image.size, Image.Resampling.BICUBIC)

    return spoil


def flat(colour: str) -> Spoil:
    """One colour."""
    return lambda image: Image.new("RGB", image.size, colour)


def red_for_blue(image: Image.Image) -> Image.Image:
    """The channels in the wrong order."""
    return from_array(np.asarray(image)[..., ::-1])


# By the rule that must name it.
SPOILT_ALONE: dict[str, tuple[str, Spoil]] = {
    "noise": ("noise|grainy", noise),
    "strong noise on top": ("grainy", added(60)),
    "black": ("low detail", flat("black")),
    "white": ("low detail", flat("white")),
    "red": ("low detail", flat("red")),
    "gradient from corner to corner": ("no detail", diagonal),
    "gradient from the middle": ("no detail", radial),
    "blur of 16": ("blurred|no detail", blurred(16)),
    "blur of 8": ("blurred", blurred(8)),
}
SPOILT_AGAINST_PUBLISHED: dict[str, tuple[str, Spoil]] = {
    "blur of 2": ("blurred against the published image", blurred(2)),
    "blur of 4": ("blurred against the published image", blurred(4)),
    "noise on top": ("noisy against the published image", added(20)),
    "shift by 1": ("shifted by 1 px in x and 0 px in y", rolled(1, 0)),
    "shift by 16": ("shifted by 16 px in x and 9 px in y", rolled(16, 9)),
    "shift by 40, black": ("shifted by 40 px in x and 0 px in y", moved(40, 0)),
    "crop to 95 %": ("cropped to about 9[456]%", cropped(0.95)),
    "crop to 80 %": ("cropped to about (79|80|81)%", cropped(0.8)),
    "crop to a corner": ("cropped to about (59|60|61)%", cropped(0.6, corner=True)),
    "mirrored": ("mirrored left to right", lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "upside down": ("turned by 180 degrees", lambda image: image.transpose(Image.Transpose.ROTATE_180)),
    "red for blue": ("red and blue swapped", red_for_blue),
}
