"""Image files that hold something besides plain RGB: each member of the family, by name."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms

from tests.support.pictures import encoded, scene

SCENE = scene(1, (64, 48))
WHOLE = {name: encoded(SCENE, name) for name in ("one.jpg", "one.png")}


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def chunk(name: bytes, value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))


def with_chunk(data: bytes, name: bytes, value: bytes) -> bytes:
    """A PNG file with one more chunk behind its header."""
    return data[:33] + chunk(name, value) + data[33:]


def png(mode: int, bits: int, rows: bytes, size: tuple[int, int] = (8, 8)) -> bytes:
    header = struct.pack(">IIBBBBB", *size, bits, mode, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def profile(name: str) -> bytes:
    """An ICC profile of this name."""
    lab: Any = ImageCms.createProfile("LAB" if name == "Lab" else "sRGB")
    data = ImageCms.ImageCmsProfile(lab).tobytes()
    if name == "linear":  # the exponent of the curve, as a fixed point number
        return data.replace(struct.pack(">i", round(2.4 * 65536)), struct.pack(">i", 65536))
    return data.replace(*("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))) if name == "wide" else data


# Each thing that a file may hold besides plain RGB: name of the file, its bytes, and how it is called.
ODD: dict[str, tuple[str, bytes, str]] = {
    "greyscale": ("a.png", saved(SCENE.convert("L")), "greyscale"),
    "greyscale JPEG": ("a.jpg", saved(SCENE.convert("L"), "JPEG"), "greyscale"),
    "greyscale with alpha": ("a.png", saved(SCENE.convert("LA")), "greyscale with alpha"),
    "black and white": ("a.png", saved(SCENE.convert("1")), "black and white"),
    "palette": ("a.png", saved(SCENE.quantize(16)), "a palette"),
    "palette with a transparent colour": ("a.png", saved(SCENE.quantize(16), transparency=3), "a palette"),
    "CMYK": ("a.jpg", saved(SCENE.convert("CMYK"), "JPEG"), "CMYK"),
    "transparent colour": ("a.png", saved(SCENE, transparency=(0, 0, 0)), "a transparent colour"),
    "16-bit grey": ("a.png", png(0, 16, (b"\0" + b"\x80\x01" * 8) * 8), "greyscale, 16 bits a channel"),
    "16-bit RGB": ("a.png", png(2, 16, (b"\0" + b"\x80\x01" * 24) * 8), "16 bits a channel"),
    "16-bit RGBA": ("a.png", png(6, 16, (b"\0" + b"\x80\x01" * 32) * 8), "16 bits a channel"),
    "animated PNG": ("a.png", saved(SCENE, save_all=True, append_images=[scene(2, (64, 48))]), "2 frames"),
    "animated WebP": ("a.webp", saved(SCENE, "WEBP", save_all=True, append_images=[scene(2, (64, 48))]), "2 frames"),
    "JPEG of many": ("a.jpg", saved(SCENE, "MPO", save_all=True, append_images=[scene(2, (64, 48))]), "2 frames"),
    "turned JPEG": ("a.jpg", saved(SCENE, "JPEG", exif=exif(6)), "EXIF orientation 6"),
    "mirrored PNG": ("a.png", saved(SCENE, exif=exif(2)), "EXIF orientation 2"),
    "turned WebP": ("a.webp", saved(SCENE, "WEBP", exif=exif(8)), "EXIF orientation 8"),
    "wide colours": ("a.jpg", saved(SCENE, "JPEG", icc_profile=profile("wide")), "colour profile 'wide"),
    "Lab profile": ("a.png", saved(SCENE, icc_profile=profile("Lab")), "colour profile 'Lab"),
    "no profile": ("a.png", saved(SCENE, icc_profile=b"no profile at all"), "colour profile 'unreadable'"),
    "sRGB by name alone": ("a.jpg", saved(SCENE, "JPEG", icc_profile=profile("linear")), "colour profile 'sRGB"),
    "primaries": (
        "a.png",
        with_chunk(
            WHOLE["one.png"], b"cHRM", struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
        ),
        "primaries that are not sRGB's",
    ),
    "gamma": ("a.png", with_chunk(WHOLE["one.png"], b"gAMA", struct.pack(">I", 100_000)), "gamma 1"),
    "code points": ("a.png", with_chunk(WHOLE["one.png"], b"cICP", bytes((9, 16, 0, 1))), "cICP"),
    "bytes behind a PNG": ("a.png", WHOLE["one.png"] + b"secret", "6 bytes after its end"),
    "bytes behind a JPEG": ("a.jpg", WHOLE["one.jpg"] + b"\xff\xd9", "2 bytes after its end"),
    "bytes behind a WebP": ("a.webp", saved(SCENE, "WEBP") + b"x", "1 bytes after its end"),
}
