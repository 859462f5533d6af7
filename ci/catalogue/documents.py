"""Reads a YAML document into a validated model, or names every mistake in it with line and key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ..errors import DocumentError, Mistake, near
from . import strict_yaml
from .strict_yaml import Document, child

T = TypeVar("T")
LONGEST = 80  # characters of a value in a message


class Mistaken(Exception):  # noqa: N818  # not told to the user as it is: all mistakes of all files come at once
    """A document with mistakes."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__()
        self.mistakes = mistakes


@dataclass(frozen=True)
class Model:
    """How documents of one kind are validated: the model of a content, and the key that holds the named entries."""

    of: Callable[[object], TypeAdapter[Any]]
    entries: str


@dataclass(frozen=True)
class Validated:
    """A document without a mistake."""

    name: str
    model: Any
    document: Document
    entries: str

    def mistake(self, keys: Sequence[str], expected: str) -> Mistake:
        """A mistake that shows only beside other documents or files."""
        return _mistake(self.name, self.entries, self.document.line(keys), keys, expected)


def read(name: str, data: bytes, model: Model) -> Validated:
    """Validate a document by the model of its content. Raises Mistaken."""
    document = strict_yaml.read(data)
    mistakes = [_mistake(name, model.entries, flaw.line, flaw.keys, flaw.expected) for flaw in document.flaws]
    if document.root is None and mistakes:
        raise Mistaken(mistakes)
    adapter = model.of(document.content)
    try:
        validated = adapter.validate_python(document.content)
    except ValidationError as error:
        places = {flaw.keys for flaw in document.flaws}
        mistakes += _mistakes(name, document, error, adapter, model.entries, places)
    if mistakes:
        raise Mistaken(mistakes)
    return Validated(name, validated, document, model.entries)


def only(name: str, data: bytes, model: type[T], entries: str, kind: type[DocumentError]) -> T:
    """The content of the only document of its kind. Raises an error of that kind with all mistakes."""
    adapter: TypeAdapter[T] = TypeAdapter(model)
    try:
        content: T = read(name, data, Model(lambda _: adapter, entries)).model
    except Mistaken as error:
        raise kind(error.mistakes) from None
    return content


def _mistakes(
    name: str,
    document: Document,
    error: ValidationError,
    model: TypeAdapter[Any],
    entries: str,
    places: set[strict_yaml.Keys],
) -> Iterator[Mistake]:
    """What the model has against the content, but for values that were not read as they stand there."""
    for detail in error.errors(include_url=False):
        keys = list(_keys(document.root, detail["loc"]))
        if detail["type"].startswith("union_tag"):  # pydantic points at the whole; the key that tells is what is wrong
            keys.append(detail["ctx"]["discriminator"].strip("'"))
        if tuple(keys) not in places:
            yield _mistake(name, entries, document.line(keys), keys, _expected(detail, keys, model))


def _mistake(name: str, entries: str, line: int, keys: Sequence[str], expected: str) -> Mistake:
    entry = keys[1] if len(keys) > 1 and keys[0] == entries else ""
    return Mistake(name, line, _short(entry), _short(".".join(keys[2:] if entry else keys)), expected)


def _keys(node: yaml.Node | None, location: Sequence[int | str]) -> Iterator[str]:
    """The location as keys of the file: pydantic adds the tags of unions, which stand nowhere in it."""
    for position, part in enumerate(map(str, location)):
        below = child(node, part)
        if below is not None:
            yield part
            node = below
        elif position == len(location) - 1 and part != "[key]" and not _is_tag(node, part):
            yield part


def _is_tag(node: yaml.Node | None, part: str) -> bool:
    tags = (child(node, "source"), child(node, "kind"))
    return any(isinstance(tag, yaml.ScalarNode) and tag.value == part for tag in tags)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _expected(detail: ErrorDetails, keys: Sequence[str], model: TypeAdapter[Any]) -> str:
    """Say what was expected, in the words of the file."""
    context, value = detail.get("ctx", {}), detail["input"]
    words, actual = detail["msg"].replace("Input should be ", ""), f", got {_short(repr(value))}"
    match detail["type"]:
        case "missing" | "union_tag_not_found":
            return "expected; it is missing"
        case "extra_forbidden":
            return f"unknown key {_short(keys[-1])!r}; {near(keys[-1], _allowed(detail['loc'], model))}"
        case "value_error":
            words, actual = str(context["error"]), ""
        case "union_tag_invalid":
            words, actual = f"one of {context['expected_tags']}", f", got {_short(repr(context['tag']))}"
        case "model_type" | "model_attributes_type" | "dict_type":
            words = "keys and values"
        case "too_short":
            words, actual = f"at least {context['min_length']} of them", ""
        case _:
            words = words.replace("String should ", "a string to ")
            actual = "" if isinstance(value, dict | list) else actual
    return f"expected {words}{actual}"


def _allowed(location: Sequence[int | str], model: TypeAdapter[Any]) -> set[str]:
    """The keys that are allowed where an unknown one stands, from the JSON Schema of the model."""
    schema: dict[str, Any] = model.json_schema()
    definitions = schema["$defs"]
    node: Any = schema
    for part in [str(part) for part in location[:-1]]:
        node = _descend(node, part, definitions)
    return set(_resolve(node, definitions).get("properties", {}))


def _resolve(node: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = definitions[node["$ref"].rsplit("/", 1)[-1]]
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    return _resolve(choices[0], definitions) if choices else node


def _descend(node: Any, part: str, definitions: dict[str, Any]) -> Any:
    node = _resolve(node, definitions)
    if "discriminator" in node and part in node["discriminator"]["mapping"]:
        return {"$ref": node["discriminator"]["mapping"][part]}
    if part in node.get("properties", {}):
        return node["properties"][part]
    patterns = list(node.get("patternProperties", {}).values())
    return node.get("items") or node.get("additionalProperties") or (patterns[0] if patterns else node)
