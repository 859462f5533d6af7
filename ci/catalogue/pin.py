"""Writes what is open in data files: revisions of model repositories, and the digest of the base image.

A YAML library that loads and dumps (ruamel.yaml too) sets anew what it did not change: long lines, `null`, spaces. So
the text is changed just where the parser says that a value stands, and then read again to see that nothing else is.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import PinError, reading, writing
from . import files
from .strict_yaml import child

Where = tuple[str | int, ...]
Find = Callable[[str], "list[Gap]"]
PLACES = ("model", "text_encoder")  # keys of a case that name a repository; `loras` holds a list of them


@dataclass(frozen=True)
class Gap:
    """A value that is open: where it is in the data, and how it is written into the text."""

    what: str  # the repository or image that it is a version of
    where: Where
    start: int
    end: int
    template: str = "{}"  # what takes the place of start..end, with {} for the value
    value: str | None = None  # where the same case names it in another place


def open_revisions(text: str) -> list[Gap]:
    """The repositories of a case file that have no revision. One that several cases share is there once."""
    spots: dict[int, Gap] = {}
    cases = child(yaml.compose(text), "cases")
    for key, case in cases.value if isinstance(cases, yaml.MappingNode) else ():
        places = dict(_places(case))
        revisions = {
            repo.value: revision.value
            for node in places.values()
            if (repo := child(node, "repo")) and (revision := child(node, "revision")) and not _is_null(revision)
        }
        for where, node in places.items():
            spot = _revision(text, node, ("cases", key.value, *where), revisions)
            if spot is not None:
                spots.setdefault(spot.start, spot)
    return list(spots.values())


def open_digest(text: str) -> list[Gap]:
    """The base image of `images.yaml`, if it has no digest."""
    base = child(yaml.compose(text), "base")
    digest, reference = child(base, "digest"), child(base, "reference")
    if reference is None or digest is None or not _is_null(digest):
        return []
    return [Gap(reference.value, ("base", "digest"), digest.start_mark.index, digest.end_mark.index)]


def filled(text: str, spots: Iterable[Gap], values: Mapping[str, str]) -> str:
    """The text with the values that are known. Raises PinError rather than change anything else."""
    pairs = [(spot, value) for spot in spots if (value := spot.value or values.get(spot.what)) is not None]
    new = text
    for spot, value in sorted(pairs, key=lambda each: -each[0].start):
        new = new[: spot.start] + spot.template.format(value) + new[spot.end :]
    expected = yaml.safe_load(text)
    for spot, value in pairs:
        _set(expected, spot.where, value)
    try:
        same = yaml.safe_load(new) == expected
    except yaml.YAMLError:
        same = False
    if not same:
        raise PinError("the file is written in a way that cannot be changed safely; write the pins by hand")
    return new


def pin(path: Path, find: Find, resolve: Callable[[list[str]], Mapping[str, str]]) -> list[str]:
    """Pin what is open in a file; returns a line for each value. `resolve` leaves out what cannot be resolved."""
    with reading(path, PinError):
        text = path.read_bytes().decode("utf-8")
    spots = find(text)
    values = resolve(sorted({spot.what for spot in spots if spot.value is None})) if spots else {}
    try:
        new = filled(text, spots, values)
    except PinError as error:
        raise PinError(f"{path}: {error}") from None
    if new != text:
        with writing(path, PinError, "let it be written, or write the pins by hand"):
            _replace(path.resolve(), new)
    pins = {spot.what: spot.value or values.get(spot.what) for spot in spots}
    return [f"{path.name}: {what} is pinned to {value}" for what, value in pins.items() if value is not None]


def _replace(path: Path, text: str) -> None:
    """Let a text take the place of a file's, all of it at once, with the file's mode."""
    with tempfile.TemporaryDirectory(prefix=".gt-", dir=path.parent) as folder:
        partial = Path(folder, "new")
        partial.write_bytes(text.encode())
        shutil.copymode(path, partial)
        partial.replace(path)


def case_files(folder: Path) -> list[Path]:
    """The case files of a folder, once all of them are valid. Raises CatalogueError."""
    return sorted({case.file for case in files.load(folder).cases.values()})


def _places(case: yaml.Node) -> Iterator[tuple[Where, yaml.Node]]:
    for key in PLACES:
        node = child(case, key)
        if node is not None:
            yield (key,), node
    loras = child(case, "loras")
    for number, entry in enumerate(loras.value if isinstance(loras, yaml.SequenceNode) else []):
        yield ("loras", number), entry


def _revision(text: str, node: yaml.Node, where: Where, revisions: Mapping[str, str]) -> Gap | None:
    repo, revision = child(node, "repo"), child(node, "revision")
    if not isinstance(node, yaml.MappingNode) or repo is None or not (revision is None or _is_null(revision)):
        return None
    at, value = (*where, "revision"), revisions.get(repo.value)
    if revision is not None:
        return Gap(repo.value, at, revision.start_mark.index, revision.end_mark.index, value=value)
    end = repo.end_mark.index
    if node.flow_style:
        return Gap(repo.value, at, end, end, ", revision: {}", value)
    newline = next((ending for ending in ("\r\n", "\n", "\r") if ending in text), "\n")
    line_end = text.find(newline, end)
    line_end = len(text) if line_end < 0 else line_end
    indent = " " * next(key.start_mark.column for key, each in node.value if each is repo)
    return Gap(repo.value, at, line_end, line_end, f"{newline}{indent}revision: {{}}", value)


def _set(data: Any, where: Where, value: str) -> None:
    *parents, last = where
    for key in parents:
        data = data[key]
    data[last] = value


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")
