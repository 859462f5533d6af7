"""Reads `cases/*.yaml` into validated cases, or names every mistake of every file at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from .case import AnyFile, Case
from .errors import CatalogueError, GtError, Mistake, near

CASES = Path(__file__).resolve().parent.parent / "cases"

_file = TypeAdapter[Any](AnyFile)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster, where PyYAML was built with it


@dataclass(frozen=True)
class Catalogue:
    """All cases by id, and the ids that are known to have no official reference, with the reason."""

    cases: Mapping[str, Case]
    unavailable: Mapping[str, str]

    @property
    def groups(self) -> set[str]:
        """Every group name that a case carries."""
        return {group for case in self.cases.values() for group in case.spec.groups}


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


def load(folder: Path = CASES) -> Catalogue:
    """Read every `*.yaml` of a folder.

    Raises CatalogueError with all mistakes, GtError where the folder holds no case file.
    """
    paths = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not paths:
        raise GtError(f"{folder} holds no case file (*.yaml); `--cases DIR` takes a folder of them")
    cases: dict[str, Case] = {}
    unavailable: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            parsed = _file.validate_python(yaml.load(text, _Unique))  # noqa: S506  # a SafeLoader
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mistakes.append(_unreadable(path, error))
        except ValidationError as error:
            mistakes.extend(_mistakes(path, text, error))
        else:
            code = getattr(parsed, "code", None)
            for name, spec in parsed.cases.items():
                if name in cases:
                    line = _line(yaml.compose(text, _Loader), ("cases", name))
                    taken = f"expected an id of its own; {cases[name].file.name} has it too"
                    mistakes.append(Mistake(path.name, line, name, "", taken))
                cases[name] = Case(name, parsed.source, spec, code, path)
            unavailable |= parsed.unavailable
    if mistakes:
        raise CatalogueError(mistakes)
    return Catalogue(cases, unavailable)


def _unreadable(path: Path, error: yaml.YAMLError | UnicodeDecodeError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    problem = getattr(error, "problem", None) or error
    return Mistake(path.name, line, "", "", f"expected YAML in UTF-8: {problem}")


def _mistakes(path: Path, text: str, error: ValidationError) -> Iterator[Mistake]:
    root = yaml.compose(text, _Loader)
    for detail in error.errors(include_url=False):
        keys = list(_keys(root, detail["loc"]))
        if detail["type"].startswith("union_tag"):  # pydantic points at the whole; the key that tells is what is wrong
            keys.append(detail["ctx"]["discriminator"].strip("'"))
        in_case = keys[0] == "cases" if keys else False
        case = keys[1] if in_case and len(keys) > 1 else ""
        key = ".".join(keys[2:] if case else keys)
        yield Mistake(path.name, _line(root, keys), case, key, _expected(detail, keys))


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


def _expected(detail: ErrorDetails, keys: Sequence[str]) -> str:
    """Say what was expected, in the words of the file."""
    context, value = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "missing" | "union_tag_not_found":
            said = "expected; it is missing"
        case "extra_forbidden":
            said = f"unknown key {keys[-1]!r}; {near(keys[-1], _allowed(detail['loc']))}"
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


def _allowed(location: Sequence[int | str]) -> set[str]:
    """The keys that are allowed where an unknown one stands, from the JSON Schema of the model."""
    schema: dict[str, Any] = _file.json_schema()
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
