"""What an engine's own tests define otherwise than our case files: cases added, changed and dropped since then."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import DefinitionsError
from ..files import Catalogue
from ..native import EngineCase
from . import suites
from .suites import Definition

SGLANG = "sglang"  # the source whose engine defines its cases in the way that is read
NONE: Any = object()  # the key is not there
SHARED = "default_sampling_params"


@dataclass(frozen=True)
class Change:
    """One key of a definition: what our file says, and what the engine says now."""

    key: str
    old: Any = NONE
    new: Any = NONE

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.old)} → {_shown(self.new)}"

    def data(self) -> dict[str, Any]:
        """As JSON; a side that lacks the key is left out."""
        sides = {"old": self.old, "new": self.new}
        return {"key": self.key} | {side: value for side, value in sides.items() if value is not NONE}


@dataclass
class Cases:
    """Differences in the cases of one mode: why one is called added or dropped, and what changed in one that stayed."""

    added: dict[str, str] = field(default_factory=dict)
    changed: dict[str, list[Change]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """For a person."""
        yield from (f"  added    {name}: {why}" for name, why in self.added.items())
        for name, changes in self.changed.items():
            yield f"  changed  {name}"
            yield from (f"    {change}" for change in changes)
        yield from (f"  dropped  {name}: {why}" for name, why in self.dropped.items())

    def data(self) -> dict[str, Any]:
        """As JSON."""
        changed = {name: [change.data() for change in changes] for name, changes in self.changed.items()}
        return {"added": self.added, "changed": changed, "dropped": self.dropped}


@dataclass
class Differences:
    """All of them. `unread` names what could not be read in the engine's suites, so that a case may be missing."""

    official: Cases
    native: Cases
    unread: list[str]

    def __bool__(self) -> bool:
        return any(self.lines())

    def lines(self) -> Iterator[str]:
        """For a person."""
        for mode, cases in (("official", self.official), ("native", self.native)):
            lines = list(cases.lines())
            yield from [f"{mode} cases:", *lines] if lines else []
        if self.unread:
            yield "not read in the engine's suites, so that a case may be missing:"
        yield from (f"  {textwrap.shorten(text, 200)}" for text in self.unread)

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {"official": self.official.data(), "native": self.native.data(), "unread": self.unread}


def differences(ours: Catalogue, checkout: Path) -> Differences:
    """Compare our cases with the definitions in a checkout of sglang.

    Official cases are compared by the definitions that stand in our native cases of the same ids. Where the checkout
    holds a matrix of official cases, what that says counts too. Raises DefinitionsError where nothing can be compared.
    """
    native_cases = [case for case in ours.native.values() if case.source == SGLANG]
    known = {case.id: case.spec for case in native_cases if isinstance(case.spec, EngineCase)}
    if not known:
        raise DefinitionsError(f"the case files hold no native case of {SGLANG}, so there is nothing to compare with")
    theirs = suites.read(checkout, sorted({spec.suite for spec in known.values()}))
    official, native = Cases(), Cases()
    ids = {name for name, case in ours.cases.items() if case.official}
    settled = ids | ours.unavailable.keys()
    for name, spec in known.items():
        found = theirs.case(name)
        if found is None:
            native.dropped[name] = f"no suite of the engine defines it; it was in {spec.suite}"
        elif changes := list(_changes(spec.suite, spec.definition, *found)):
            (official if name in ids else native).changed[name] = changes
    seen = ours.native.keys() | ours.unavailable_native.keys()  # when our files were written
    for suite, cases in theirs.suites.items():
        new = {name: f"new in suite {suite}" for name in cases if name not in seen}
        native.added |= new
        official.added |= {name: f"{why}, without an official case" for name, why in new.items() if name not in settled}
    official.dropped |= {name: "no suite of the engine defines it" for name in sorted(ids) if theirs.case(name) is None}
    if theirs.official is not None:
        official.added |= dict.fromkeys(sorted(theirs.official - ids), "new in the official matrix")
        official.dropped |= dict.fromkeys(sorted(ids - theirs.official), "no longer in the official matrix")
    return Differences(official, native, list(theirs.unread))


def _changes(suite: str, ours: Definition, their_suite: str, theirs: Definition) -> Iterator[Change]:
    if suite != their_suite:
        yield Change("suite", suite, their_suite)
    yield from between("", ours, _of_our_tasks(ours, theirs))


def _of_our_tasks(ours: Definition, theirs: Definition) -> Definition:
    """Of the parameters that cases of a task share, those of the tasks that our definition names."""
    if not isinstance(ours.get(SHARED), Mapping) or not isinstance(theirs.get(SHARED), Mapping):
        return theirs
    return {**theirs, SHARED: {task: shared for task, shared in theirs[SHARED].items() if task in ours[SHARED]}}


def between(key: str, old: Any, new: Any) -> Iterator[Change]:
    """The keys below `key` in which two JSON values differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not _is_text(old) and not _is_text(new):
        for name in dict.fromkeys([*old, *new]):
            yield from between(f"{key}.{name}" if key else name, old.get(name, NONE), new.get(name, NONE))
    elif (
        old is NONE or new is NONE or json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True)
    ):  # 1 is not true
        yield Change(key, old, new)


def _shown(value: Any) -> str:
    if value is NONE:
        return "nothing"
    return str(value["python"]) if _is_text(value) else json.dumps(value, ensure_ascii=False)


def _is_text(value: Any) -> bool:
    """Whether it is the text of an expression that was not resolved."""
    return isinstance(value, Mapping) and value.keys() == {"python"}
