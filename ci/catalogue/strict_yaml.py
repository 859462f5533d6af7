"""Reads YAML whose every value means the same to every reader, and names what does not.

YAML 1.1 reads 042 as 34, 4:16 as 256 and yes as true, which YAML 1.2 reads otherwise; tags and merge keys are not in
both either. None of them is needed in a case file, so none is taken. Aliases are, as far as they make no huge content.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

Keys = tuple[str, ...]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster, where PyYAML was built with it
_TAG = "tag:yaml.org,2002:"
DEEPEST = 40  # levels of lists and mappings within each other
MOST_REPEATED = 100_000  # values that aliases may add
LONGEST_NUMBER = 40  # characters; Python refuses to read integers of some thousand digits

_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?(?=\.?[0-9])(0|[1-9][0-9]*)?\.[0-9]*([eE][-+][0-9]+)?")
# What one version of YAML or the other takes for a number.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|[-+]?\.(inf|nan)", re.IGNORECASE)


@dataclass(frozen=True)
class Flaw:
    """A place of the text, and what was expected there."""

    keys: Keys
    line: int
    expected: str


class _Huge(Exception):  # noqa: N818  # ends the reading of one document
    pass


@dataclass
class Document:
    """The content of a text, and what is wrong in it. `root` is None where the text cannot be followed at all."""

    root: yaml.Node | None = None
    content: Any = None
    flaws: list[Flaw] = field(default_factory=list)
    allowance: int = MOST_REPEATED  # values that may still be read

    def line(self, keys: Sequence[str]) -> int:
        """The line of the last of these keys that the text holds, counted from 1."""
        node, line = self.root, 1
        for part in keys:
            if isinstance(node, yaml.MappingNode):
                line = next((key.start_mark.line + 1 for key, _ in node.value if key.value == part), line)
            node = child(node, part)
            if isinstance(node, yaml.Node) and not isinstance(node, yaml.MappingNode) and part.isdigit():
                line = node.start_mark.line + 1
        return line


def read(data: bytes) -> Document:
    """Read a text. What cannot be followed at all is a flaw too; nothing is raised."""
    document = Document()
    try:
        text = data.decode("utf-8")
        document.flaws = list(_structure(document, text))
        if not document.flaws:
            root = yaml.compose(text, _LOADER)
            document.content = _value(document, root, ())
            document.root = root
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        document.flaws.append(Flaw((), line, f"expected text in UTF-8; the byte {data[error.start]:#04x} is none"))
    except yaml.YAMLError as error:
        mark, context = getattr(error, "problem_mark", None), getattr(error, "context", None)
        stops = getattr(error, "problem", None) or str(error).splitlines()[0]
        expected = f"expected YAML; the reader stops here: {stops}{f' ({context})' if context else ''}"
        document.flaws.append(Flaw((), mark.line + 1 if mark else 1, expected))
    except _Huge:
        expected = f"expected aliases that add at most {MOST_REPEATED} values, and none within its own anchor"
        document.flaws.append(Flaw((), 1, expected))
    return document


def child(node: yaml.Node | None, part: str) -> yaml.Node | None:
    """What stands below a key, or at a position."""
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isascii() and part.isdigit() and int(part) < len(node.value):
        return node.value[int(part)]  # type: ignore[no-any-return]
    return None


def _structure(document: Document, text: str) -> Iterator[Flaw]:
    """What makes a text another one than it looks, found before anything is built of it."""
    depth = documents = 0
    for event in yaml.parse(text, _LOADER):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        document.allowance += 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.DocumentStartEvent) and documents == 2:  # noqa: PLR2004
            yield Flaw((), line, "expected one document; --- starts another one")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            yield Flaw((), line, f"expected at most {DEEPEST} levels within each other")
            return
        if (tag := getattr(event, "tag", None)) is not None:
            yield Flaw((), line, f"expected a value without a tag ({tag}); text stands in quotes")


def _value(document: Document, node: yaml.Node | None, keys: Keys) -> Any:
    document.allowance -= 1
    if document.allowance < 0 or len(keys) > DEEPEST:
        raise _Huge
    if isinstance(node, yaml.MappingNode):
        return _mapping(document, node, keys)
    if isinstance(node, yaml.SequenceNode):
        return [_value(document, item, (*keys, str(position))) for position, item in enumerate(node.value)]
    return _scalar(document, node, keys) if isinstance(node, yaml.ScalarNode) else None


def _mapping(document: Document, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            document.flaws.append(Flaw(keys, line, "expected text as a key; a list or a mapping stands here"))
            continue
        if not key.style and (key.tag != f"{_TAG}str" or _NUMBER.fullmatch(key.value)):
            document.flaws.append(Flaw((*keys, key.value), line, f"expected text as a key; {_otherwise(key.value)}"))
        elif key.value in content:
            expected = f"expected a key only once; {key.value!r} stands here again"
            document.flaws.append(Flaw((*keys, key.value), line, expected))
        content[key.value] = _value(document, value, (*keys, key.value))
    return content


def _scalar(document: Document, node: yaml.ScalarNode, keys: Keys) -> Any:
    text, tag = node.value, node.tag.removeprefix(_TAG)
    like_number = tag in ("int", "float") or _NUMBER.fullmatch(text)
    if node.style or (tag == "str" and not like_number):  # a style is quotes, or a block
        return text
    if tag == "null":
        return None
    if like_number:
        value, expected = _number(text), "a decimal number such as 42 or 0.5"
    else:
        value, expected = _TRUTHS.get(text), "true or false" if tag == "bool" else "text in quotes"
    if value is None:
        document.flaws.append(Flaw(keys, node.start_mark.line + 1, f"expected {expected}; {_otherwise(text)}"))
    return text if value is None else value


def _number(text: str) -> int | float | None:
    if len(text) > LONGEST_NUMBER:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) and math.isfinite(float(text)) else None


def _otherwise(text: str) -> str:
    """What a plain text would have become."""
    short = text if len(text) <= LONGEST_NUMBER else f"{text[:LONGEST_NUMBER]}…"
    try:
        value = yaml.safe_load(text) if len(text) <= LONGEST_NUMBER else None
    except (yaml.YAMLError, ValueError, OverflowError):
        value = None
    if value is None or value == text:
        return f"{short} is not the same to every reader of YAML; text stands in quotes"
    return f"YAML reads {short} as {value}; text stands in quotes"
