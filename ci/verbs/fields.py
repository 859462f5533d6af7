"""Reads a verb's class: its name, its help and its options, for both doors."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Protocol, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import Doc

from ..errors import GtError
from .answers import Answer
from .options import AtLeast, Folder, Typed

T = TypeVar("T")
WORDS = re.compile(r"[^\s,]+")  # of an option that takes several
REQUIRED = dataclasses.MISSING  # the default of a field that has none


class Verb(Protocol):
    """What both doors can run."""

    def run(self) -> Answer:
        """Do it."""


@dataclass(frozen=True)
class Field:
    """One option of a verb."""

    name: str
    kind: type  # of the value; without None
    inner: type  # of what a tuple holds; else the kind
    optional: bool  # whether the value may be None
    marks: tuple[Any, ...]
    default: Any

    @property
    def option(self) -> str:
        """As it is written on a command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        """What the option is for."""
        mark = self.mark(Doc)
        assert mark is not None, f"{self.name} has no Doc"  # noqa: S101
        return mark.documentation

    @property
    def typed(self) -> Typed:
        """How `gt` takes it."""
        return self.mark(Typed) or Typed()

    def mark(self, kind: type[T]) -> T | None:
        """The field's mark of this kind, if it has one."""
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)


def several(field: Field, texts: Iterable[str]) -> tuple[str, ...]:
    """The words that were typed, each once. Raises GtError where the option was given, and names nothing."""
    words = tuple(dict.fromkeys(WORDS.findall(" ".join(texts))))
    if not words:
        raise _empty(field, field.option)
    return words


def check(field: Field, name: str, value: object) -> None:
    """Raises GtError for a number that is too small, and for an empty value of an option that must name something.

    That is a required one, and a file or a folder: an empty path would be the folder in which the caller stands. `name`
    is how the caller writes it.
    """
    if value == "" and (field.default is REQUIRED or field.kind in (Folder, Path)):
        raise _empty(field, name)
    least = field.mark(AtLeast)
    if (
        least is not None and isinstance(value, int | float) and not value >= least.number
    ):  # not a number is none either
        raise GtError(f"{name} {value:g}: a number from {least.number:g} on")


def _empty(field: Field, name: str) -> GtError:
    otherwise = "" if field.default is REQUIRED else ", or leave it out"
    return GtError(f"{name} is empty; name something with it{otherwise}")


def fields(verb: type) -> Iterator[Field]:
    """The options of a verb, in the order of its help."""
    hints = get_type_hints(verb, include_extras=True)
    for field in dataclasses.fields(verb):
        kind, *marks = get_args(hints[field.name])
        parts = get_args(kind) if get_origin(kind) is UnionType else (kind,)
        (kind,) = (part for part in parts if part is not NoneType)
        outer, inner = get_origin(kind) or kind, next(iter(get_args(kind)), kind)
        yield Field(field.name, outer, inner, NoneType in parts, tuple(marks), field.default)


def name_of(verb: type) -> str:
    """The verb as `gt` writes it: `ConcurrencyKey` is concurrency-key. A body for one door has the verb's name."""
    name = verb.__name__.removesuffix("OnEngine").removesuffix("OnMachine")
    return re.sub(r"(?<=.)(?=[A-Z])", "-", name).lower()


def help_of(verb: type) -> str:
    """The docstring of the verb's own class: what a body for one door says of itself is for readers of the code."""
    (first, *_) = (cls for cls in reversed(verb.__mro__) if name_of(cls) == name_of(verb))
    paragraphs = inspect.cleandoc(first.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)  # each screen wraps by itself
