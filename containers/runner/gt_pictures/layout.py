"""Where an image file ends, and what a PNG file says of itself, by the layout of each format.

Sources: PNG, W3C third edition, sections 5 and 11; JPEG, ITU-T T.81, annex B; WebP, RFC 9649, section 2.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG file, by its colour type
# First column and row, and the steps, of each pass of a PNG file: not interlaced, and Adam7.
PASSES = (
    ((0, 0, 1, 1),),
    ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
BLOCK = 1 << 20  # bytes of pixels that are inflated at once
SRGB = bytes((1, 13, 0, 1))  # of cICP: primaries of BT.709, transfer of sRGB, RGB, full range
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # in entropy-coded data 0xFF is followed by 0 or a restart
_END_OF_IMAGE, _ALONE = 0xD9, (0x01, 0xD8)  # markers without a segment
BASELINE, PROGRESSIVE = (0xC0, 0xC1), 0xC2  # frames with Huffman codes
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def end(kind: str, data: bytes) -> int | None:
    """The offset behind the last byte of the image; None where the file stops before it."""
    match kind:
        case "PNG":
            return next((at + 12 for name, at, _ in _chunks(data) if name == b"IEND"), None)
        case "JPEG":
            return next((at for code, at in _markers(data) if code == _END_OF_IMAGE), None)
    size = 8 + int.from_bytes(data[4:8], "little")  # RIFF
    size += size % 2
    return size if size <= len(data) else None


def bits(data: bytes) -> int:
    """Bits a channel of a PNG file."""
    return data[24]


def all_rows(data: bytes) -> bool:
    """Whether a PNG file has all its rows; Pillow leaves those black that are not there. Raises zlib.error."""
    inflater, rest = zlib.decompressobj(), _bytes_of_rows(data)
    for name, at, _ in _chunks(data):
        tail = data[at + 8 : at + 8 + int.from_bytes(data[at : at + 4], "big")] if name == b"IDAT" else b""
        while tail and rest > 0 and not inflater.eof:
            rest -= len(inflater.decompress(tail, BLOCK))
            tail = inflater.unconsumed_tail
    return rest <= len(inflater.decompress(b"", BLOCK))


def _bytes_of_rows(data: bytes) -> int:
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    depth = bits(data) * CHANNELS[data[25]]
    sizes = [
        (-(-(width - column) // right), -(-(height - row) // down)) for column, row, right, down in PASSES[data[28]]
    ]
    return sum(rows * (1 + (columns * depth + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def coding(data: bytes) -> bytes | None:
    """The code points of a PNG file's colour space (chunk cICP), if it has some."""
    return next((value for name, _, value in _chunks(data) if name == b"cICP"), None)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, offset and (of small chunks) value of each whole chunk of a PNG file."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], at, data[at + 8 : at + 8 + min(length, 16)]
        at += 12 + length


def frame(data: bytes) -> int | None:
    """The marker of a JPEG file's frame, which says how it is coded."""
    return next((code for code, _ in _markers(data) if code in _FRAMES), None)


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG file that are in no segment, each with the offset behind it."""
    at = 2
    while (marker := _MARKER.search(data, at)) is not None:
        code, at = data[marker.end() - 1], marker.end()
        yield code, at
        if code not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
