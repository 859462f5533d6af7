"""Reads `cases/*.yaml` into validated cases, or names every mistake of every file at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from . import documents
from .case import AnyFile, Case
from .errors import CatalogueError, GtError, Mistake

CASES = Path(__file__).resolve().parent.parent / "cases"

_file = TypeAdapter[Any](AnyFile)


@dataclass(frozen=True)
class Catalogue:
    """All cases by id, and the ids that are known to have no official reference, with the reason."""

    cases: Mapping[str, Case]
    unavailable: Mapping[str, str]

    @property
    def groups(self) -> set[str]:
        """Every group name that a case carries."""
        return {group for case in self.cases.values() for group in case.spec.groups}


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
        data = path.read_bytes()
        try:
            parsed = documents.read(path.name, data, _file, "cases")
        except documents.Mistaken as error:
            mistakes.extend(error.mistakes)
        else:
            code = getattr(parsed, "code", None)
            for name, spec in parsed.cases.items():
                if name in cases:
                    line = documents.line_of(data, ("cases", name))
                    taken = f"expected an id of its own; {cases[name].file.name} has it too"
                    mistakes.append(Mistake(path.name, line, name, "", taken))
                cases[name] = Case(name, parsed.source, spec, code, path)
            unavailable |= parsed.unavailable
    if mistakes:
        raise CatalogueError(mistakes)
    return Catalogue(cases, unavailable)
