"""Verbs on case files: list, show, validate, compare with upstream's definitions, pin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import yaml
from typing_extensions import Doc

from ..catalogue import files
from ..catalogue.fields import ALL
from ..catalogue.files import Catalogue
from ..catalogue.model import Case
from ..catalogue.upstream.diff import differences
from ..errors import SelectionError, near, printable
from ..words import are, counted
from .answers import Answer
from .options import OURS, Cases, Folder, FromCaller, SourceGroup, Typed

Native = Annotated[bool, Doc("Native cases, instead of official ones.")]


@dataclass(frozen=True, kw_only=True)
class CasesList:
    """List the ids of all cases, or of a group."""

    cases: Cases = OURS
    source_group: SourceGroup = ALL
    native: Native = False

    def run(self) -> Answer:
        """An id a line. Raises SelectionError for a group that is not known."""
        catalogue = files.load(self.cases.path)
        group = self.source_group.strip() or ALL
        official, native = (_by_group(cases) for cases in (catalogue.cases, catalogue.native))
        ours, others = (native, official) if self.native else (official, native)
        if group not in ours and group in others:
            advice = "official cases; leave out" if self.native else "native cases; add"
            raise SelectionError(f"group {group!r} holds {advice} --native")
        if group not in ours:
            raise SelectionError(f"no group is named {group!r}; {near(group, official.keys() | native.keys())}")
        return Answer("\n".join(ours[group]))


@dataclass(frozen=True, kw_only=True)
class CasesShow:
    """Print one case, whole, as YAML."""

    case_id: Annotated[str, Doc("The case."), Typed(positional=True)]
    cases: Cases = OURS
    native: Native = False

    def run(self) -> Answer:
        """YAML. Raises SelectionError for a case that is not known."""
        case = _one(files.load(self.cases.path), self.case_id, native=self.native)
        return Answer(yaml.safe_dump(case.data(), sort_keys=False, allow_unicode=True))


def _by_group(cases: Mapping[str, Case]) -> dict[str, list[str]]:
    """The ids of each group; a source is one too, and so is ALL."""
    groups: dict[str, list[str]] = {ALL: []}
    for case in cases.values():
        for group in dict.fromkeys((ALL, case.source, *case.groups)):
            groups.setdefault(group, []).append(case.id)
    return groups


def _one(catalogue: Catalogue, case_id: str, *, native: bool) -> Case:
    cases, others = (catalogue.native, catalogue.cases) if native else (catalogue.cases, catalogue.native)
    reasons = catalogue.unavailable_native if native else catalogue.unavailable
    if case_id in cases:
        return cases[case_id]
    if case_id in reasons:
        raise SelectionError(
            f"case {case_id!r} has no {'native' if native else 'official'} reference: {reasons[case_id]}"
        )
    if case_id in others:
        raise SelectionError(f"case {case_id!r} is {'official; leave out' if native else 'native; add'} --native")
    raise SelectionError(f"no case is named {case_id!r}; {near(case_id, cases)}")


@dataclass(frozen=True, kw_only=True)
class CasesValidate:
    """Check every case file, and name all mistakes, each with file, line, case and key."""

    cases: Cases = OURS

    def run(self) -> Answer:
        """How many cases there are. Raises CatalogueError with every mistake."""
        catalogue = files.load(self.cases.path, with_inputs=True)
        cases = [*catalogue.cases.values(), *catalogue.native.values()]
        sources = ", ".join(sorted({case.source for case in cases}))
        return Answer(f"gt: {counted(len(cases), 'case')} of {sources} {are(len(cases))} valid")


@dataclass(frozen=True, kw_only=True)
class CasesDiff:
    """Say which cases an upstream test suite defines otherwise than our files: changed, added or dropped.

    Official cases first, then native ones. `gt` exits with 0 when nothing differs, 1 when something does, 2 on bad
    input.
    """

    engine: Annotated[
        Folder,
        Doc("A checkout of sgl-project/sglang; it is read, and nothing of it is run."),
        FromCaller(without=("*", "!python/**/*.py", "!.github/workflows/*.yml")),
    ]
    cases: Cases = OURS
    as_json: Annotated[bool, Doc("Print JSON, for a program."), Typed("--json")] = False

    def run(self) -> Answer:
        """A line for each difference, or JSON."""
        report = differences(files.load(self.cases.path), self.engine.path)
        if self.as_json:
            return Answer(json.dumps(report.data(), indent=1, ensure_ascii=False), bad=bool(report))
        lines = () if report else (f"nothing differs between the cases and {self.engine.path}",)
        return Answer("\n".join(map(printable, report.lines())), lines, bad=bool(report))  # texts of others


@dataclass(frozen=True, kw_only=True)
class CasesDiffOnEngine(CasesDiff):
    """A call that raises gives no report, so it raises only where that is asked for."""

    must_match: Annotated[bool, Doc("Raise if anything differs, instead of giving the report.")] = False

    def run(self) -> Answer:
        """The report."""
        report = super().run()
        return replace(report, bad=report.bad and self.must_match)
