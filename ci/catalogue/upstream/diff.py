"""What sglang's test suites define otherwise than when our case files were last compared with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...errors import DefinitionsError
from ..files import Catalogue
from ..native import ServingCase
from . import checkout as checkouts
from . import recorded as records
from . import texts
from .recorded import Record, digest
from .texts import Definition, Tasks

GONE = "no suite defines it"
SGLANG = "sglang"  # the source whose serving engine defines its cases in the way that is read


@dataclass(frozen=True)
class Change:
    """The text that defined a case, where the checkout's history holds it, and the text that does now."""

    old: str | None
    new: str

    def lines(self) -> list[str]:
        """The difference, for a person; the new text where the old one is not at hand."""
        if self.old is None:
            return self.new.splitlines()
        difference = difflib.unified_diff(self.old.splitlines(), self.new.splitlines(), lineterm="", n=1)
        return [line for line in difference if not line.startswith(("---", "+++", "@@"))]


@dataclass
class Cases:
    """Differences in the cases of one mode: why one is called added or dropped, and the texts of one that changed."""

    added: dict[str, str] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """For a person. Cases that changed in the same lines, as by a text that they share, stand together."""
        yield from (f"  added    {name}: {why}" for name, why in self.added.items())
        groups: dict[tuple[str, ...], list[str]] = {}
        for name, change in self.changed.items():
            groups.setdefault(tuple(change.lines()), []).append(name)
        for lines, names in groups.items():
            yield f"  changed  {', '.join(names)}"
            yield from (f"    {line}".rstrip() for line in lines)
        yield from (f"  dropped  {name}: {why}" for name, why in self.dropped.items())


@dataclass(frozen=True)
class Differences:
    """All of them, and what they are differences to."""

    official: Cases
    native: Cases
    repo: str
    ref: str

    def __bool__(self) -> bool:
        return any(cases.added or cases.changed or cases.dropped for cases in (self.official, self.native))

    def lines(self) -> Iterator[str]:
        """For a person."""
        for mode, cases in (("official", self.official), ("native", self.native)):
            lines = list(cases.lines())
            yield from [f"{mode} cases:", *lines] if lines else []
        changes = [*self.official.changed.values(), *self.native.changed.values()]
        if any(change.old is None for change in changes):
            what = self.ref if re.fullmatch(r"[0-9a-f]{40}", self.ref) else f"tag {self.ref}"
            yield "a text without + and - is the new one: the old one is not in the checkout's history;"
            yield f"`git fetch --depth 1 https://github.com/{self.repo} {what}` in the checkout gets it"

    def data(self) -> dict[str, Any]:
        """As JSON."""
        since = {"repo": self.repo, "ref": self.ref}
        return {"official": asdict(self.official), "native": asdict(self.native), "since": since}


def differences(ours: Catalogue, checkout: Path) -> Differences:
    """Compare the definitions in a checkout of sglang with those that are recorded beside our native cases.

    Where the checkout holds a matrix of official cases, what that says counts too. Raises DefinitionsError where
    nothing can be compared.
    """
    native = {name: case for name, case in ours.native.items() if case.source == SGLANG}
    if not native:
        raise DefinitionsError(f"the case files hold no native case of {SGLANG}, so there is nothing to compare with")
    record = records.read(next(iter(native.values())).file.parent)
    definitions = defined(ours, checkout)
    changes = _changes(ours, checkout, record, definitions)
    official = {name for name, case in ours.cases.items() if case.official}
    of_matrix = {name for name in official if not ours.cases[name].by_name}
    names = record.definitions.keys() | ours.native.keys() | ours.unavailable_native.keys()
    new = {name: f"new in {definition.place}" for name, definition in definitions.items() if name not in names}
    ids = official | ours.unavailable.keys()
    report = Differences(
        Cases(
            {name: f"{why}, without an official case" for name, why in new.items() if name not in ids},
            {name: change for name, change in changes.items() if name in official},
            dict.fromkeys(sorted(of_matrix - definitions.keys()), GONE),
        ),
        Cases(
            new,
            {name: change for name, change in changes.items() if name in native and name not in official},
            {name: f"{GONE}; it was in {case.suites[0]}" for name, case in native.items() if name not in definitions},
        ),
        record.repo,
        record.ref,
    )
    matrix = texts.official_ids(checkouts.files(checkout))
    if matrix is not None:
        report.official.added |= dict.fromkeys(sorted(matrix - official), "new in the official matrix")
        report.official.dropped |= dict.fromkeys(sorted(of_matrix - matrix), "no longer in the official matrix")
    return report


def _changes(
    ours: Catalogue, checkout: Path, record: Record, definitions: Mapping[str, Definition]
) -> dict[str, Change]:
    """The definitions of which another text is recorded, or none, each with the recorded text if the history has it."""
    others = {name: each for name, each in definitions.items() if digest(each) != record.definitions.get(name)}
    read = checkouts.history(checkout, record.ref) if others else None
    history = {} if read is None else texts.definitions(read, _tasks(ours))
    originals = {name: str(each) for name, each in history.items() if digest(each) == record.definitions.get(name)}
    return {name: Change(originals.get(name), str(each)) for name, each in others.items()}


def defined(ours: Catalogue, checkout: Path) -> Mapping[str, Definition]:
    """What a checkout defines. Raises DefinitionsError where it defines no case."""
    definitions = texts.definitions(checkouts.files(checkout), _tasks(ours))
    if not definitions:
        raise DefinitionsError(
            f"{checkout} has no {texts.SUITES} that defines a case; give a checkout of sgl-project/sglang (git clone "
            "https://github.com/sgl-project/sglang), or its tests have a shape that is not known here"
        )
    return definitions


def _tasks(ours: Catalogue) -> Tasks:
    """The task of each case that takes the parameters that all cases of a task share."""
    specs = {name: case.spec for name, case in ours.native.items()}
    definitions = {name: spec.definition for name, spec in specs.items() if isinstance(spec, ServingCase)}
    parameters = {name: definition.get("default_sampling_params") for name, definition in definitions.items()}
    return {name: list(tasks) for name, tasks in parameters.items() if isinstance(tasks, dict)}
