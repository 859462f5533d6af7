"""Reads `cases/*.yaml` into validated cases, or names every mistake of every file at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import ROOT
from ..errors import CatalogueError, GtError, Mistake
from . import bounded, documents, inputs
from .documents import Validated
from .fields import NATIVE
from .model import Case, ServingFile, model_of

CASES = ROOT / "cases"
MODEL = documents.Model(model_of, "cases")
MOST_BYTES = 16 * 2**20  # of one file: some 20,000 cases


@dataclass(frozen=True)
class Catalogue:
    """All cases by id. An id may stand for an official case and for a native one: the published names are the same."""

    cases: dict[str, Case]  # official ones, and those for trying out
    unavailable: dict[str, str]  # ids that are known to have no official reference, with the reason
    native: dict[str, Case] = field(default_factory=dict)
    unavailable_native: dict[str, str] = field(default_factory=dict)  # ids that no serving engine makes here, and why

    def of(self, mode: str) -> Mapping[str, Case]:
        """The cases that a run of this mode chooses from."""
        return self.native if mode == NATIVE else self.cases

    @property
    def groups(self) -> set[str]:
        """Every group name that a case of ours carries."""
        return _groups(self.cases)

    @property
    def native_groups(self) -> set[str]:
        """The same of native cases; the names of serving engines are groups too."""
        return _groups(self.native) | {case.source for case in self.native.values()}


def load(folder: Path = CASES, *, with_inputs: bool = False) -> Catalogue:
    """Read every `*.yaml` of a folder; `with_inputs` looks at the inputs that lie beside them as well.

    Hidden files are left out, as a shell leaves them out: editors and macOS put files of their own there.
    Raises CatalogueError with all mistakes, GtError where the folder holds no case file.
    """
    paths = sorted([*folder.glob("[!.]*.yaml"), *folder.glob("[!.]*.yml")])
    if not paths:
        raise GtError(f"{folder} holds no case file (*.yaml); `--cases DIR` takes a folder of them")
    catalogue = Catalogue({}, {}, {}, {})
    mistakes: list[Mistake] = []
    ids: dict[str, tuple[str, str]] = {}  # id and file, by the id as a file system sees it that ignores case
    cache: inputs.Cache | None = {} if with_inputs else None
    for path in paths:
        try:
            file = documents.read(path.name, bounded.content(path, MOST_BYTES), MODEL)
        except documents.Mistaken as error:
            mistakes.extend(error.mistakes)
        except ValueError as error:
            mistakes.append(Mistake(path.name, 1, "", "", f"expected {error}"))
        else:
            mistakes.extend(_add(catalogue, file, path, ids, cache))
    if mistakes:
        raise CatalogueError(mistakes)
    return catalogue


def _add(
    catalogue: Catalogue, file: Validated, path: Path, ids: dict[str, tuple[str, str]], cache: inputs.Cache | None
) -> Iterator[Mistake]:
    """Put a file's cases into the catalogue, and name what is wrong beside the files before it."""
    serving = file.model.engine if isinstance(file.model, ServingFile) else None
    cases = catalogue.cases if serving is None else catalogue.native
    for name, spec in file.model.cases.items():
        spelling, where = ids.setdefault(name.casefold(), (name, path.name))
        if name in cases:
            yield file.mistake(("cases", name), f"expected an id of its own; {cases[name].file.name} has it too")
        elif spelling != name:
            expected = (
                f"expected an id that differs by more than case from {spelling} in {where}: some systems see one file"
            )
            yield file.mistake(("cases", name), expected)
        groups = {*spec.groups} if serving is None else {spec.suite}
        case = cases[name] = Case(
            name,
            file.model.source,
            spec,
            getattr(file.model, "code", None),
            path,
            serving=serving,
            by_name=bool(groups) and groups <= set(file.model.by_name),
        )
        for key, expected in inputs.mistakes(case, cache) if cache is not None else ():
            yield file.mistake(("cases", name, *key.split(".")), expected)
    (catalogue.unavailable if serving is None else catalogue.unavailable_native).update(file.model.unavailable)


def _groups(cases: Mapping[str, Case]) -> set[str]:
    return {group for case in cases.values() for group in case.groups}
