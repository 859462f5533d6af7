"""Reads a YAML document into a validated model, or names every mistake in it with line and key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ..errors import Mistake, near

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster, where PyYAML was built with it


class Mistaken(Exception):  # noqa: N818  # not told to the user as it is: all mistakes of all files come at once
    """A document with mistakes."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__()
        self.mistakes = mistakes


class _Unique(_Loader):  # type: ignore[misc, valid-type]  # the base is chosen at run time
    """YAML where a key that stands twice is a mistake: PyYAML would silently keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key only once; {key.value!r} stands here again", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)  # type: ignore[no-any-return]


def read(name: str, data: bytes, model_of: Callable[[object], TypeAdapter[Any]], entries: str) -> Any:
    """Validate a document by the model of its content; its named entries stand under `entries`. Raises Mistaken."""
    try:
        text = data.decode("utf-8")
        content = yaml.load(text, _Unique)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Mistaken([_unreadable(name, error)]) from None
    model = model_of(content)
    try:
        return model.validate_python(content)
    except ValidationError as error:
        raise Mistaken(list(_mistakes(name, text, error, model, entries))) from None


def line_of(data: bytes, keys: Sequence[str]) -> int:
    """The line of a key, counted from 1."""
    return _line(yaml.compose(data, _Loader), keys)


def _unreadable(name: str, error: yaml.YAMLError | UnicodeDecodeError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    problem = getattr(error, "problem", None) or error
    return Mistake(name, line, "", "", f"expected YAML in UTF-8: {problem}")


def _mistakes(name: str, text: str, error: ValidationError, model: TypeAdapter[Any], entries: str) -> Iterator[Mistake]:
    root = yaml.compose(text, _Loader)
    for detail in error.errors(include_url=False):
        keys = list(_keys(root, detail["loc"]))
        if detail["type"].startswith("union_tag"):  # pydantic points at the whole; the key that tells is what is wrong
            keys.append(detail["ctx"]["discriminator"].strip("'"))
        in_entry = keys[0] == entries if keys else False
        entry = keys[1] if in_entry and len(keys) > 1 else ""
        key = ".".join(keys[2:] if entry else keys)
        yield Mistake(name, _line(root, keys), entry, key, _expected(detail, keys, model))


def _keys(node: yaml.Node | None, location: Sequence[int | str]) -> Iterator[str]:
    """The location as keys of the file: pydantic adds the tags of unions, which stand nowhere in it."""
    for position, part in enumerate(map(str, location)):
        child = _child(node, part)
        if child is not None:
            yield part
            node = child
        elif position == len(location) - 1 and part != "[key]" and not _is_tag(node, part):
            yield part


def _is_tag(node: yaml.Node | None, part: str) -> bool:
    tags = (_child(node, "source"), _child(node, "kind"))
    return any(isinstance(tag, yaml.ScalarNode) and tag.value == part for tag in tags)


def _child(node: yaml.Node | None, part: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        return node.value[int(part)]  # type: ignore[no-any-return]
    return None


def _line(node: yaml.Node | None, keys: Sequence[str]) -> int:
    """The line of the last key that the file holds, counted from 1."""
    line = 1
    for part in keys:
        if isinstance(node, yaml.MappingNode):
            line = next((key.start_mark.line + 1 for key, _ in node.value if key.value == part), line)
        node = _child(node, part)
        if isinstance(node, yaml.Node) and not isinstance(node, yaml.MappingNode) and part.isdigit():
            line = node.start_mark.line + 1
    return line


def _expected(detail: ErrorDetails, keys: Sequence[str], model: TypeAdapter[Any]) -> str:
    """Say what was expected, in the words of the file."""
    context, value = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "missing" | "union_tag_not_found":
            said = "expected; it is missing"
        case "extra_forbidden":
            said = f"unknown key {keys[-1]!r}; {near(keys[-1], _allowed(detail['loc'], model))}"
        case "value_error":
            said = f"expected {context['error']}"
        case "union_tag_invalid":
            said = f"expected one of {context['expected_tags']}, got {context['tag']!r}"
        case "model_type" | "model_attributes_type" | "dict_type":
            said = f"expected keys and values, got {value!r}"
        case _:
            said = (
                detail["msg"]
                .replace("Input should be ", "expected ")
                .replace("String should ", "expected a string to ")
            )
            said += "" if isinstance(value, dict | list) else f", got {value!r}"
    return said


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
