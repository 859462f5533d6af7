"""The result of a comparison: what was measured of each file, and the grade of each case."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..diverge.result import CaseResult as TracedCase
from .pairing import Pair, Pairing
from .provenance import Change
from .similarity import Values
from .thresholds import NoiseFloor, Thresholds


class Grade(StrEnum):
    """GT against published GT, worst first."""

    MISSING = "missing"
    CHANGED = "changed"
    NEW = "new"
    WITHIN = "within the noise floor"
    IDENTICAL = "identical"


class Verdict(StrEnum):
    """A serving engine's output against GT, worst first."""

    MISSING = "missing"
    FAILED = "failed"
    PASSED = "passed"


GRADES, VERDICTS = list(Grade), list(Verdict)
FAILING = {"missing": 0, "failed": 1, "changed": 2}  # grades and verdicts by urgency
UNSEEN, AT_EASE = 3, 4  # new; everything else


@dataclass
class Measurement:
    """Two files against each other; an error where they cannot be compared."""

    identical: str | None = None  # "bytes" or "pixels"
    values: Values = field(default_factory=dict)
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        values = {name: None if value is None else round(value, 6) for name, value in self.values.items()}
        return {"identical": self.identical, "error": self.error, "values": values}


@dataclass
class FileResult:
    """One file of the artifact."""

    pair: Pair
    grade: Grade | None = None  # None: no published GT was given
    gt: Measurement | None = None
    beyond: list[str] = field(default_factory=list)  # what is beyond the noise floor
    verdict: Verdict | None = None  # None: no serving engine's output was given
    serving: Measurement | None = None
    failed: list[str] = field(default_factory=list)  # what is beyond the serving engine's thresholds

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.pair.name,
            "grade": self.grade,
            "renamed_from": self.pair.renamed_from,
            "published": self.gt and self.gt.as_json(),
            "beyond_noise_floor": self.beyond,
            "engine_verdict": self.verdict,
            "engine": self.serving and self.serving.as_json(),
            "engine_failed": self.failed,
            "notes": self.pair.notes,
        }


@dataclass
class CaseResult:
    """One case of the artifact."""

    name: str
    files: list[FileResult] = field(default_factory=list)
    kind: str | None = None  # the GPU kind that made it
    why_missing: list[str] = field(default_factory=list)
    floor: NoiseFloor | None = None
    thresholds: Thresholds | None = None
    thresholds_from: str | None = None  # which set of thresholds they are
    changes: dict[str, list[Change]] | None = None  # None: one of the two has no manifest
    traced: TracedCase | None = None  # where two traces of the case first differ, if they were given

    @property
    def grade(self) -> Grade | None:
        """The worst of its files."""
        grades = [file.grade for file in self.files if file.grade is not None]
        return Grade.MISSING if self.why_missing else min(grades, key=GRADES.index, default=None)

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its files."""
        verdicts = [file.verdict for file in self.files if file.verdict is not None]
        return min(verdicts, key=VERDICTS.index, default=None)

    @property
    def rank(self) -> tuple[int, float, float, str]:
        """Orders cases, worst first."""
        other = UNSEEN if self.grade == Grade.NEW else AT_EASE
        urgency = min(FAILING.get(outcome or "", other) for outcome in (self.grade, self.verdict))
        measurements = [each for file in self.files for each in (file.gt, file.serving) if each is not None]
        ssim = min((each.values.get("ssim") or 0.0 for each in measurements if not each.error), default=1.0)
        diff = max((each.values.get("mean_abs_diff") or 0.0 for each in measurements), default=0.0)
        broken = any(each.error for each in measurements)
        return urgency, -1.0 if broken else ssim, -diff, self.name

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "gpu_kind": self.kind,
            "grade": self.grade,
            "why_missing": self.why_missing,
            "noise_floor": self.floor and self.floor.model_dump(mode="json"),
            "engine_verdict": self.verdict,
            "engine_thresholds": self.thresholds and self.thresholds.bounds(),
            "engine_thresholds_from": self.thresholds_from,
            "changes": self.changes,
            "traces": self.traced and self.traced.as_json(),
            "files": [file.as_json() for file in self.files],
        }


@dataclass
class Comparison:
    """The whole result; cases stand worst first."""

    cases: list[CaseResult]
    pairing: Pairing
    measures: dict[str, dict[str, str]]
    not_measured: dict[str, str]
    about: dict[str, Any]

    @property
    def same(self) -> bool:
        """Whether nothing changed, nothing is missing and the serving engine passed; what is new is no change."""
        return all(case.rank[0] >= UNSEEN for case in self.cases)

    def counts(self) -> dict[str, dict[str, int]]:
        """Cases by grade and by verdict; only what occurs."""
        grades = {grade.value: sum(case.grade == grade for case in self.cases) for grade in GRADES}
        verdicts = {verdict.value: sum(case.verdict == verdict for case in self.cases) for verdict in VERDICTS}
        return {
            "published": {name: count for name, count in grades.items() if count},
            "engine": {name: count for name, count in verdicts.items() if count},
        }

    @property
    def renamed(self) -> dict[str, str]:
        """New names by published name."""
        return {pair.renamed_from: pair.name for pair in self.pairing.pairs if pair.renamed_from}

    @property
    def other_kinds(self) -> list[str]:
        """What was compared across GPU kinds: each draws other noise, so they differ without a mistake."""
        counts = Counter(
            (what, kind, pair.new.kind)
            for pair in self.pairing.pairs
            for what, kind in (("published", pair.published_kind), ("engine", pair.serving_kind))
            if kind and pair.new.kind and kind != pair.new.kind
        )
        return [
            f"{what}: made on {kind}, this artifact on {new} (files: {count}); GPU kinds differ without a mistake"
            for (what, kind, new), count in counts.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema_version": 1,
            "same": self.same,
            "about": self.about,
            "measures": self.measures,
            "not_measured": self.not_measured,
            "counts": self.counts(),
            "missing": self.pairing.missing,
            "renamed": self.renamed,
            "other_kinds": self.other_kinds,
            "published_but_not_in_this_run": self.pairing.not_in_run,
            "extra_engine_files": self.pairing.extra_serving,
            "cases": [case.as_json() for case in self.cases],
        }
