"""Text for people and for XML: names, reasons and logs may hold anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

# Control characters but newline and tab, marks that turn the direction of writing, and what XML does not take.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
SHORTEST = (0.01, 10_000)  # between them a figure is shorter without a power of ten


def printable(text: str) -> str:
    """The text with each character that is not to be shown as its escape."""
    return _UNSHOWN.sub(lambda character: character[0].encode("unicode_escape").decode(), text)


def line(text: str) -> str:
    """The same on one line, for a name that begins a line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def mistakes(error: ValidationError) -> Iterator[str]:
    """What a model has against its input: the place and the words of each mistake."""
    for each in error.errors():
        place, words = ".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")
        yield " ".join(f"{place}: {words}".removeprefix(": ").split())


def number(value: float) -> str:
    """A figure in two digits, as people write it: 0.31, 2e-3, 4.5e-7."""
    if value == 0 or SHORTEST[0] <= abs(value) < SHORTEST[1] or not math.isfinite(value):
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"  # noqa: PLR2004  # two digits, or all before the point
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
