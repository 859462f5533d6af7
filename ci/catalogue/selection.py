"""Which cases a run is about: mode, group and ids. What does not fit together is refused before a job exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import SelectionError, near
from ..words import counted
from .fields import ALL, NATIVE, OFFICIAL, SMOKE
from .files import Catalogue
from .model import Case


@dataclass(frozen=True)
class Selection:
    """What the caller asked for, in the words of the options."""

    official: bool = False
    ids: tuple[str, ...] = ()
    source_group: str = ""

    @property
    def mode(self) -> str:
        """`official`, `native`, or `smoke` where that group is named."""
        return SMOKE if self.group == SMOKE else OFFICIAL if self.official else NATIVE

    @property
    def is_open(self) -> bool:
        """Whether nothing was asked for: all native cases then."""
        return not self.official and self.group == ALL and not self.ids

    @property
    def group(self) -> str:
        """The group's name; empty means all."""
        return self.source_group.strip() or ALL


def select(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """The selected cases, in the catalogue's order.

    Raises SelectionError for an unknown group or id, an id outside of the mode or group, an id that is known to have no
    reference in the mode (with the reason), native cases of two serving engines, and where nothing is left.
    """
    candidates = _candidates(catalogue, selection)
    reasons = [_why_not(name, catalogue, selection) for name in selection.ids if name not in candidates]
    if reasons:
        raise SelectionError("\n".join(reasons))
    is_whole = selection.group in (ALL, *(case.source for case in candidates.values() if case.serving))
    ids = set(selection.ids) or {name for name, case in candidates.items() if not (is_whole and case.by_name)}
    cases = [case for name, case in candidates.items() if name in ids]
    if not cases:
        raise SelectionError(_nothing(catalogue, selection))
    _of_one_engine(cases)
    return cases


def _of_one_engine(cases: Iterable[Case]) -> None:
    native = [case for case in cases if case.serving is not None]
    serving = sorted({case.source for case in native})
    if len(serving) == 1:  # a serving engine may have files that install it otherwise, as for another vendor's cards
        serving = sorted(
            {case.file.name for case in native if case.serving != native[0].serving} | {native[0].file.name}
        )
    if len(serving) > 1:
        raise SelectionError(
            f"native cases of {' and '.join(serving)} are selected, and a run has one serving engine; "
            "name cases of one of them with --case-ids, or a folder with its cases alone with --cases"
        )


def _candidates(catalogue: Catalogue, selection: Selection) -> Mapping[str, Case]:
    group = selection.group
    groups = {ALL, SMOKE} | catalogue.groups | catalogue.native_groups
    if group not in groups:
        raise SelectionError(f"no group is named {group!r}; {near(group, groups)}")
    cases = catalogue.of(selection.mode)
    if group == SMOKE:
        return {name: case for name, case in cases.items() if case.source == SMOKE}
    if group != ALL and selection.official and group not in catalogue.groups:
        raise SelectionError(f"group {group!r} holds native cases; leave out --official")
    if group != ALL and not selection.official and group not in catalogue.native_groups:
        raise SelectionError(f"group {group!r} holds official cases; add --official")
    return {
        name: case.in_suite(group)
        for name, case in cases.items()
        if case.source != SMOKE and group in (ALL, *([case.source] if case.serving else []), *case.groups)
    }


def _why_not(name: str, catalogue: Catalogue, selection: Selection) -> str:
    native = selection.mode == NATIVE
    case = catalogue.of(selection.mode).get(name) or catalogue.cases.get(name) or catalogue.native.get(name)
    reason = (catalogue.unavailable_native if native else catalogue.unavailable).get(name)
    if reason is not None:
        return f"case {name!r} has no {'native' if native else 'official'} reference: {reason}"
    if case is None:
        return f"no case is named {name!r}; {near(name, catalogue.cases.keys() | catalogue.native.keys())}"
    if case.source == SMOKE:
        return f"case {name!r} is for trying out; add --source-group smoke"
    if case.official == native:
        return f"case {name!r} is {'official; add' if case.official else 'native; leave out'} --official"
    groups = " and ".join(case.groups) or "no group but all"
    return f"case {name!r} is not in group {selection.group!r}; it is in {groups}"


def _nothing(catalogue: Catalogue, selection: Selection) -> str:
    official = sum(case.official and not case.by_name for case in catalogue.cases.values() if not selection.official)
    smoke = any(case.source == SMOKE for case in catalogue.cases.values())
    hints = [f"--official selects {counted(official, 'case')}"] if official else []
    if selection.official and catalogue.native:
        hints.append(f"without --official {counted(len(catalogue.native), 'native case')}")
    by_name = {name for case in catalogue.of(selection.mode).values() if case.by_name for name in case.groups}
    hints += [f"made by name alone: --source-group {' or '.join(sorted(by_name))}"] if by_name else []
    hints += ["--source-group smoke those for trying out"] if smoke else []
    hint = f" ({', '.join(hints)})" if hints else ""
    return f"the selection is empty: no {selection.mode} case in group {selection.group!r}{hint}"
