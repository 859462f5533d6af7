"""What reading source statically gives: values as of JSON, records, and the text of what is not resolved."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST = 10_000  # items or characters of what is put together; more is no definition, but a trap


class Open(Exception):  # noqa: N818  # never told to a user: the expression is kept as its text
    """An expression that static reading does not resolve."""


@dataclass(frozen=True)
class Source:
    """What is not resolved: the text of its expression."""

    text: str


@dataclass(frozen=True, eq=False)
class Record:
    """An instance of a dataclass: its class, and just the fields that its call gives."""

    of: Any
    fields: dict[str, Any]


def as_json(value: Any) -> Any:
    """The value for a JSON document; a text that is not resolved becomes `{"python": text}`."""
    try:
        return _as_json(value)
    except RecursionError:  # a list that holds itself
        return {"python": "…"}


def _as_json(value: Any) -> Any:
    match value:
        case Source(text):
            return {"python": text}
        case Record(fields=fields):
            return _as_json(fields)
        case list():
            return [_as_json(each) for each in value]
        case dict():
            return {name: _as_json(each) for name, each in value.items()}
        case None | str() | int() | float():
            return value
    return {"python": type(value).__name__.lower()}  # a class or a function, as a value


def as_constant(value: Any) -> Any:
    """A constant, if JSON can hold it."""
    match value:
        case None | bool():
            return value
        case int() if -(2**63) <= value < 2**63:
            return value
        case float() if value - value == 0:  # finite
            return value
        case str() if not any("\ud800" <= sign <= "\udfff" for sign in value):
            return value
    raise Open


def as_truth(value: Any) -> bool:
    """Whether Python would take it for true."""
    if value is None or isinstance(value, str | int | float | list | dict):
        return bool(value)
    raise Open


def as_key(value: Any) -> str:
    """A key of a JSON object."""
    if not isinstance(value, str | int):
        raise Open
    return str(value)


def item_of(owner: Any, key: Any) -> Any:
    """`owner[key]`."""
    try:
        return owner[key if isinstance(owner, list) else as_key(key)]
    except (LookupError, TypeError):
        raise Open from None


def few(items: Iterator[Any]) -> list[Any]:
    """A list of them, unless they are too many."""
    found: list[Any] = []
    for item in items:
        if len(found) == MOST:
            raise Open
        found.append(item)
    return found


def added(left: Any, right: Any, *, in_place: bool = False) -> Any:
    """`left + right`; `in_place`, a list grows for whoever else has it, as in Python."""
    match left, right:
        case (str(), str()) if len(left) + len(right) <= MOST:
            return left + right
        case (list(), list()) if len(left) + len(right) <= MOST:
            if not in_place:
                return left + right
            left.extend(list(right))
            return left
    raise Open


def compared(left: Any, op: ast.cmpop, right: Any) -> bool:
    """`==`, `is` and `in` between constants, and what they become with a `not`."""
    several = isinstance(op, ast.In | ast.NotIn)
    constants = [left, *(right if several and isinstance(right, list | dict) else [right])]
    if not all(each is None or isinstance(each, str | int | float) for each in constants):
        raise Open
    match op:
        case ast.In():
            return left in constants[1:]
        case ast.NotIn():
            return left not in constants[1:]
        case ast.Eq() | ast.Is():
            return bool(left == right)
        case ast.NotEq() | ast.IsNot():
            return bool(left != right)
    raise Open


def dumped(document: Any, options: dict[str, Any]) -> str:
    """`json.dumps`, where all of the document is resolved."""
    known = {"separators", "ensure_ascii", "indent", "sort_keys"}
    if options.keys() - known or any(isinstance(option, Source | Record) for option in options.values()):
        raise Open
    try:
        return str(as_constant(json.dumps(document, **options)))
    except (TypeError, ValueError):
        raise Open from None
