"""The promises of opening images: a reference is plain RGB or refused, an input is normalised."""

from __future__ import annotations

import contextlib
import io
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers.utils import load_image
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from gt_pictures.errors import PictureError
from gt_pictures.reading import MOST_PIXELS, Picture, decode, is_image, plain_files, read, twins
from tests.conftest import SHARED
from tests.support.odd_pictures import ODD, SCENE, WHOLE, chunk, exif, png, profile, saved, with_chunk

PIXELS = np.asarray(SCENE)


@pytest.mark.parametrize("name", ODD)
def test_a_reference_that_is_not_plain_rgb_is_refused_by_name(name: str) -> None:
    file, data, words = ODD[name]
    with pytest.raises(PictureError, match=f"^not plain RGB: .*{words}"):
        decode(data, file)


@pytest.mark.parametrize("name", ODD)
def test_an_input_that_is_not_plain_rgb_is_normalised_and_says_so(name: str) -> None:
    file, data, words = ODD[name]
    picture = decode(data, file, normalise=True)
    assert words in ", ".join(picture.notes)
    assert picture.image.mode in ("RGB", "RGBA")


@pytest.mark.parametrize("name", [name for name in ODD if not name.startswith("16-bit grey")])
def test_an_input_is_what_diffusers_own_loader_gives(name: str) -> None:
    file, data, _ = ODD[name]
    theirs = load_image(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode(data, file, normalise=True).rgb, np.asarray(theirs))


@pytest.mark.parametrize("name", ODD)
def test_who_opens_inputs_by_itself_is_given_what_was_normalised(name: str, tmp_path: Path) -> None:
    file, data, _ = ODD[name]
    (tmp_path / file).write_bytes(data)
    (tmp_path / "plain.png").write_bytes(WHOLE["one.png"])
    (tmp_path / "copies").mkdir()
    odd, plain = plain_files([tmp_path / file, tmp_path / "plain.png"], tmp_path / "copies")
    assert plain == tmp_path / "plain.png"
    np.testing.assert_array_equal(np.asarray(Image.open(odd)), decode(data, file, normalise=True).rgb)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_input_is_turned_as_its_orientation_says(orientation: int) -> None:
    picture = decode(saved(SCENE, exif=exif(orientation)), "a.png", normalise=True)
    assert picture.size == ((48, 64) if orientation > 4 else (64, 48))


def test_a_16_bit_grey_input_keeps_its_brightness() -> None:
    assert set(decode(ODD["16-bit grey"][1], "a.png", normalise=True).rgb.ravel()) == {0x80}


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG", "a.webp"])
@pytest.mark.parametrize("normalise", [False, True])
def test_a_plain_image_is_read_as_it_is(name: str, normalise: bool) -> None:
    kind = {"a.png": "PNG", "a.webp": "WEBP"}.get(name, "JPEG")
    data = saved(SCENE, kind, **({"lossless": True} if kind == "WEBP" else {}))
    picture = decode(data, name, normalise=normalise)
    assert (picture.format, picture.image.mode, picture.size, picture.notes) == (kind, "RGB", (64, 48), ())
    np.testing.assert_array_equal(picture.rgb, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("extra", [{"icc_profile": profile("sRGB")}, {"exif": exif(1)}, {"dpi": (72, 72)}])
def test_what_every_reader_sees_alike_is_plain(extra: dict[str, Any]) -> None:
    assert not decode(saved(SCENE, **extra), "a.png").notes
    assert not decode(saved(SCENE, "JPEG", progressive=True, **extra), "a.jpg").notes


def with_alpha(value: int) -> bytes:
    image = SCENE.copy()
    image.putalpha(value)
    return saved(image)


def test_alpha_is_kept_and_an_opaque_one_is_none() -> None:
    half, opaque = decode(with_alpha(128), "a.png"), decode(with_alpha(255), "a.png")
    assert half.alpha is not None
    assert set(half.alpha.ravel()) == {128}
    assert (half.image.mode, opaque.image.mode, opaque.alpha) == ("RGBA", "RGBA", None)
    np.testing.assert_array_equal(half.rgb, PIXELS)


def test_a_reference_that_shows_nothing_is_refused() -> None:
    with pytest.raises(PictureError, match="fully transparent"):
        decode(with_alpha(0), "a.png")


def test_the_name_of_a_reference_says_its_format() -> None:
    with pytest.raises(PictureError, match=r"^wrong format: JPEG, the name says PNG$"):
        decode(WHOLE["one.jpg"], "one.png")
    assert decode(WHOLE["one.jpg"], "one.png", normalise=True).notes == ("JPEG named as PNG",)
    assert decode(WHOLE["one.jpg"], "0123abc", normalise=True).notes == ()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch started) (w) file\n%%EOF\n"
FOREIGN = {
    "text": b"no image",
    "nothing": b"",
    "EPS": EPS,
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PDF": b"%PDF-1.4\n",
    **{kind: saved(SCENE, kind) for kind in ("GIF", "BMP", "TIFF", "PPM", "ICO", "TGA")},
}


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("name", FOREIGN)
def test_another_format_is_refused_whatever_its_name(
    name: str, normalise: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    with pytest.raises(PictureError, match="unreadable: it is no JPEG, PNG or WebP image"):
        decode(FOREIGN[name], "a.png", normalise=normalise)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("side", [MOST_PIXELS + 1, 2**31 - 1])
def test_too_many_pixels_are_refused_before_anything_is_decoded(side: int) -> None:
    for normalise in (False, True):
        with pytest.raises(PictureError, match=f"more than {MOST_PIXELS} pixels"):
            decode(png(2, 8, b"no rows at all", (side, 1)), "a.png", normalise=normalise)


@given(name=st.sampled_from(sorted(WHOLE)), share=st.floats(0, 1, exclude_max=True), normalise=st.booleans())
@example(name="one.jpg", share=0.9999, normalise=False)
@example(name="one.png", share=0.9999, normalise=True)
def test_a_file_that_is_cut_off_anywhere_is_no_image(name: str, share: float, normalise: bool) -> None:
    data = WHOLE[name]
    with pytest.raises(PictureError, match=r"truncated|unreadable"):
        decode(data[: math.floor(len(data) * share)], name, normalise=normalise)


def png_rows(rows: int, *, interlaced: bool = False, mode: int = 2, bits: int = 8) -> bytes:
    """A PNG file of 8 x 8 pixels whose data ends after so many rows; interlaced, 15 rows are in 7 passes."""
    widths = [1, 1, 2, *[2] * 2, *[4] * 2, *[4] * 4, *[8] * 4] if interlaced else [8] * 8
    channels = {0: 1, 2: 3, 6: 4}[mode]
    lines = [b"\0" + b"\x80" * -(-width * channels * bits // 8) for width in widths[:rows]]
    data = png(mode, bits, b"".join(lines))
    header = bytearray(data[12:29])
    header[16] = interlaced
    return data[:12] + bytes(header) + zlib.crc32(header).to_bytes(4, "big") + data[33:]


@pytest.mark.parametrize(
    "form", [{}, {"interlaced": True}, {"mode": 6}, {"mode": 2, "bits": 16}, {"mode": 0, "bits": 1}]
)
def test_a_png_file_that_ends_well_but_lacks_rows_is_truncated(form: dict[str, Any]) -> None:
    count = 15 if form.get("interlaced") else 8
    decode(png_rows(count, **form), "a.png", normalise=True)
    for rows in (count - 1, 4, 1):
        with pytest.raises(PictureError, match="truncated"):
            decode(png_rows(rows, **form), "a.png", normalise=True)


JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {"quality": 75},
    "no subsampling": {"quality": 95, "subsampling": 0},
    "own tables": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "a restart after each block": {"restart_marker_blocks": 1},
    "a restart after each row": {"restart_marker_rows": 1},
}


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("form", JPEGS)
def test_a_jpeg_file_that_is_cut_off_and_given_an_end_mark_is_truncated(form: str, grey: bool) -> None:
    large = SCENE.resize((400, 300))
    data = saved(large.convert("L") if grey else large, "JPEG", **JPEGS[form])
    start, end = data.rindex(b"\xff\xda") + 14, len(data) - 2  # of the last scan
    assert decode(data, "a.jpg", normalise=True).size == (400, 300)
    cuts = {start + math.floor((end - start) * share) for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)}
    stuffed = data.find(b"\xff\x00", start) + 1
    for cut in cuts | ({stuffed} if stuffed else set()):
        for normalise in (False, True):
            with pytest.raises(PictureError, match=r"^truncated: the file lacks pixels before its end mark$"):
                decode(data[:cut] + b"\xff\xd9", "a.jpg", normalise=normalise)


@given(st.sampled_from(sorted(JPEGS)), st.integers(1, 60), st.integers(1, 60), st.booleans(), st.integers(1, 100))
def test_a_whole_jpeg_file_is_never_taken_for_one_that_is_cut_off(
    form: str, width: int, height: int, grey: bool, quality: int
) -> None:
    image = SCENE.resize((width, height))
    data = saved(image.convert("L") if grey else image, "JPEG", **JPEGS[form] | {"quality": quality})
    assert decode(data, "a.jpg", normalise=True).size == (width, height)


def chunks(data: bytes) -> dict[str, tuple[int, int]]:
    """Offset and length of the data of each chunk of a PNG file, the last one of a name."""
    at, found = 8, {}
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found[data[at + 4 : at + 8].decode()] = (at + 8, length)
        at += 12 + length
    return found


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("place", ["sum", "data"])
@pytest.mark.parametrize("name", ["IHDR", "tEXt", "IDAT", "tIME"])
def test_a_png_file_with_a_wrong_checksum_is_refused(name: str, place: str, normalise: bool) -> None:
    data = with_chunk(saved(SCENE), b"tEXt", b"Comment\0text")
    data = data[:-12] + chunk(b"tIME", struct.pack(">HBBBBB", 2026, 1, 1, 0, 0, 0)) + data[-12:]
    assert not decode(data, "a.png").notes
    at, length = chunks(data)[name]
    damaged = bytearray(data)
    damaged[at + length + 3 if place == "sum" else at + length - 1] ^= 1
    with pytest.raises(PictureError, match=r"^(damaged: a checksum|unreadable)"):
        decode(bytes(damaged), "a.png", normalise=normalise)
    if (name, place) == ("IDAT", "sum"):
        with pytest.raises(PictureError, match=r"^damaged: a checksum of the PNG file is wrong$"):
            decode(bytes(damaged), "a.png", normalise=normalise)


@pytest.mark.parametrize("extra", ["gAMA", "cHRM", "sRGB"])
def test_a_png_file_that_says_that_it_is_srgb_is_plain(extra: str) -> None:
    chunks = {
        "gAMA": struct.pack(">I", 45455),
        "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
        "sRGB": b"\0",
    }
    assert not decode(with_chunk(WHOLE["one.png"], extra.encode(), chunks[extra]), "a.png").notes


FILES = {f"{name}: {file}": (file, data) for name, (file, data, _) in ODD.items()} | {
    name: (name, data) for name, data in WHOLE.items()
}


@settings(max_examples=300)
@given(st.sampled_from(sorted(FILES)), st.floats(0, 1, exclude_max=True), st.binary(max_size=30), st.booleans())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    name: str, at: float, noise: bytes, normalise: bool
) -> None:
    file, data = FILES[name]
    place = math.floor(len(data) * at)
    with contextlib.suppress(PictureError):
        damaged = data[:place] + noise + data[place + len(noise) :]
        assert decode(damaged, file, normalise=normalise).rgb.ndim == 3


def huge(path: Path) -> None:
    """A file without content that says it has a terabyte of it."""
    path.touch()
    os.truncate(path, 2**40)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "unreadable: No such file or directory"),
        (Path.mkdir, "unreadable: it is no regular file"),
        (os.mkfifo, "unreadable: it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "unreadable: it is no regular file"),
        (lambda path: path.symlink_to(path), "unreadable: Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b""), "unreadable: it is no JPEG, PNG or WebP image"),
        (huge, "unreadable: 1099511627776 bytes, at most"),
    ],
    ids=["missing", "folder", "pipe", "device", "link to itself", "empty", "huge"],
)
def test_what_is_no_file_of_an_image_is_refused(tmp_path: Path, make: Callable[[Path], Any], words: str) -> None:
    make(tmp_path / "a.png")
    with pytest.raises(PictureError, match=words):
        read(tmp_path / "a.png")


def test_two_files_of_one_name_are_told() -> None:
    names = ["a.png", "a.webp", "b.jpg", "b.json", "a.txt", "c.png"]
    assert twins(names) == {"a": ["a.png", "a.webp"]}
    assert [name for name in names if is_image(Path(name))] == ["a.png", "a.webp", "b.jpg", "c.png"]


def test_the_published_images_are_plain() -> None:
    folder = SHARED / "gt"
    if not folder.is_dir():
        pytest.skip(f"the published images are not here: {folder}")
    found: list[Picture] = [read(path) for path in folder.rglob("*.*")]
    assert found
    assert {picture.notes for picture in found} == {()}
