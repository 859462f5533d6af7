"""Sentences of messages: numbers that agree with what they count, and what a model has against its input."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

LONGEST = 500  # characters of a mistake


def counted(count: int, noun: str, *, of: int | None = None) -> str:
    """`1 case`, `2 cases`, and with `of` `1 of 2 cases`; the noun is given in the singular."""
    if of is not None:
        return f"{count} of {counted(of, noun)}"
    plural = re.sub(r"(?<=[^aeiou])y$", "ie", noun) + "s"
    return f"{count} {noun if count == 1 else plural}"


def are(count: int, *, of: int | None = None) -> str:
    """`is` or `are`, after so many; `of` as many as one is `is`, too."""
    return "is" if 1 in (count, of) else "are"


def at_least(minutes: float, digits: int = 0) -> float:
    """Expected minutes as they are shown: rounded up, so nobody is told less than was planned.

    What a sum of floats is off by does not count: 0.1 and 0.2 are 0.3.
    """
    scale: int = 10**digits
    return math.ceil(float(f"{minutes * scale:.12g}")) / scale


def first_mistake(error: ValidationError) -> str:
    """The first mistake that pydantic found, with its place and how many more there are; pydantic names itself too."""
    first, *others = error.errors(include_url=False)
    place = ".".join(map(str, first["loc"]))
    words = first["msg"].removeprefix("Value error, ")[:LONGEST]
    return f"{place + ': ' if place else ''}{words}{f' (and {len(others)} more)' if others else ''}"
