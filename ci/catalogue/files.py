"""Reads `cases/*.yaml` into validated cases, or names every mistake of every file at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import ROOT
from ..errors import CatalogueError, GtError, Mistake
from . import documents
from .model import Case, EngineFile, model_of

CASES = ROOT / "cases"
NATIVE = "native"  # the mode whose cases the tested engine itself makes


@dataclass(frozen=True)
class Catalogue:
    """All cases by id. An id may stand for an official case and for a native one: the published names are the same."""

    cases: Mapping[str, Case]  # official ones, and those for trying out
    unavailable: Mapping[str, str]  # ids that are known to have no official reference, with the reason
    native: Mapping[str, Case] = field(default_factory=dict)
    unavailable_native: Mapping[str, str] = field(default_factory=dict)  # ids that no engine makes here, and why

    def of(self, mode: str) -> Mapping[str, Case]:
        """The cases that a run of this mode chooses from."""
        return self.native if mode == NATIVE else self.cases

    @property
    def groups(self) -> set[str]:
        """Every group name that a case of ours carries."""
        return _groups(self.cases)

    @property
    def native_groups(self) -> set[str]:
        """The same of native cases; the name of an engine is a group too."""
        return _groups(self.native) | {case.source for case in self.native.values()}


def load(folder: Path = CASES) -> Catalogue:
    """Read every `*.yaml` of a folder.

    Raises CatalogueError with all mistakes, GtError where the folder holds no case file.
    """
    paths = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not paths:
        raise GtError(f"{folder} holds no case file (*.yaml); `--cases DIR` takes a folder of them")
    cases: dict[str, Case] = {}
    native: dict[str, Case] = {}
    unavailable: dict[str, str] = {}
    unavailable_native: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for path in paths:
        data = path.read_bytes()
        try:
            parsed = documents.read(path.name, data, model_of, "cases")
        except documents.Mistaken as error:
            mistakes.extend(error.mistakes)
            continue
        engine = parsed.engine if isinstance(parsed, EngineFile) else None
        known = cases if engine is None else native
        for name, spec in parsed.cases.items():
            if name in known:
                line = documents.line_of(data, ("cases", name))
                taken = f"expected an id of its own; {known[name].file.name} has it too"
                mistakes.append(Mistake(path.name, line, name, "", taken))
            known[name] = Case(name, parsed.source, spec, getattr(parsed, "code", None), path, engine=engine)
        (unavailable if engine is None else unavailable_native).update(parsed.unavailable)
    if mistakes:
        raise CatalogueError(mistakes)
    return Catalogue(cases, unavailable, native, unavailable_native)


def _groups(cases: Mapping[str, Case]) -> set[str]:
    return {group for case in cases.values() for group in case.spec.groups}
