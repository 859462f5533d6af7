"""Which cases a run is about: mode, group and ids. What does not fit together is refused before a job exists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .case import Case
from .catalogue import Catalogue
from .errors import SelectionError, near

ALL = "all"  # every case of the mode; what an empty group means
SMOKE = "smoke"  # the cases for trying out; they belong to neither mode


@dataclass(frozen=True)
class Selection:
    """What the caller asked for, in the words of the options."""

    official: bool = False
    case_ids: str = ""  # separated by spaces or commas
    source_group: str = ""

    @property
    def mode(self) -> str:
        """`official`, `native`, or `smoke` where that group is named."""
        return SMOKE if self.group == SMOKE else "official" if self.official else "native"

    @property
    def group(self) -> str:
        """The group's name; empty means all."""
        return self.source_group.strip() or ALL

    @property
    def ids(self) -> list[str]:
        """The ids without duplicates, in the order given."""
        return list(dict.fromkeys(part for part in re.split(r"[\s,]+", self.case_ids) if part))


def select(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """The selected cases, in the catalogue's order.

    Raises SelectionError for an unknown group or id, an id outside of the mode or group, an id that is known to have no
    official reference (with the reason), and where nothing is left.
    """
    candidates = _candidates(catalogue, selection)
    wrong = [_why_not(name, catalogue, selection) for name in selection.ids if name not in candidates]
    if wrong:
        raise SelectionError("\n".join(wrong))
    chosen = set(selection.ids) or candidates.keys()
    if not candidates:
        raise SelectionError(_nothing(catalogue, selection))
    return [case for name, case in candidates.items() if name in chosen]


def _candidates(catalogue: Catalogue, selection: Selection) -> Mapping[str, Case]:
    cases, group = catalogue.cases, selection.group
    known = {ALL, SMOKE} | catalogue.groups
    if group not in known:
        raise SelectionError(f"no group is named {group!r}; {near(group, known)}")
    if group == SMOKE:
        return {name: case for name, case in cases.items() if case.source == SMOKE}
    if group != ALL and not selection.official:
        raise SelectionError(f"group {group!r} holds official cases; add --official")
    return {
        name: case
        for name, case in cases.items()
        if case.source != SMOKE and case.official == selection.official and group in (ALL, *case.spec.groups)
    }


def _why_not(name: str, catalogue: Catalogue, selection: Selection) -> str:
    case = catalogue.cases.get(name)
    if case is None:
        reason = catalogue.unavailable.get(name)
        if reason is not None:
            return f"case {name!r} has no official reference: {reason}"
        return f"no case is named {name!r}; {near(name, catalogue.cases)}"
    if case.source == SMOKE:
        return f"case {name!r} is for trying out; add --source-group smoke"
    if case.official != selection.official:
        return f"case {name!r} is {'official; add' if case.official else 'native; leave out'} --official"
    groups = " and ".join(case.spec.groups) or "no group but all"
    return f"case {name!r} is not in group {selection.group!r}; it is in {groups}"


def _nothing(catalogue: Catalogue, selection: Selection) -> str:
    other = sum(1 for case in catalogue.cases.values() if case.official and not selection.official)
    smoke = any(case.source == SMOKE for case in catalogue.cases.values())
    hints = [f"--official selects {other} cases"] if other else []
    hints += ["--source-group smoke those for trying out"] if smoke else []
    hint = f" ({', '.join(hints)})" if hints else ""
    return f"the selection is empty: no {selection.mode} case in group {selection.group!r}{hint}"
