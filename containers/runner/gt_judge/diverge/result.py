"""What a comparison of two traces found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .measures import Apart
from .tolerances import Limit


class Status(StrEnum):
    """A stage of the other trace against the reference's."""

    EQUAL = "equal"
    WITHIN = "within"
    LAYOUT = "layout"  # nothing but the layout differs
    DIFFERS = "differs"
    MISSING = "missing"  # one of the two has it not


@dataclass
class StageResult:
    """One stage."""

    name: str
    status: Status
    apart: Apart | None = None  # None: missing, or of shapes that cannot be compared
    limit: Limit | None = None
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None] = (None, None)  # reference, other
    dtypes: tuple[str | None, str | None] = (None, None)
    layout: str = ""  # how the other's lies, where that was undone to compare
    on_purpose: bool = True  # a layout that can be no mistake, or that the traces declare
    note: str = ""  # what is missing and why, what differs beside the values, the confusion that was recognised

    @property
    def compared(self) -> bool:
        """Whether both traces have it."""
        return self.status != Status.MISSING

    @property
    def by(self) -> float | None:
        """The relative error, where there is one."""
        return self.apart.relative if self.apart is not None else None

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "status": self.status,
            "shape": {"reference": self.shapes[0], "other": self.shapes[1]},
            "dtype": {"reference": self.dtypes[0], "other": self.dtypes[1]},
            "layout": self.layout or None,
            **(self.apart.as_json() if self.apart is not None else {}),
            "tolerance": self.limit and self.limit.value,
            "tolerance_reason": self.limit and self.limit.why,
            "note": self.note or None,
        }


@dataclass
class CaseResult:
    """One case, its stages in the order of the run."""

    name: str
    stages: list[StageResult]
    first: StageResult | None = None  # where the two diverge
    verdict: str = ""  # one sentence
    facts: list[str] = field(default_factory=list)  # steps that were not run, stages that were not compared
    confusion: str = ""  # the recognised cause of the first difference

    @property
    def diverged(self) -> bool:
        """Whether the two differ beyond tolerance."""
        return self.first is not None

    @property
    def first_unequal(self) -> StageResult | None:
        """The first stage that is not equal bit for bit, whatever explains it."""
        unlike = (Status.WITHIN, Status.DIFFERS, Status.LAYOUT)
        return next((stage for stage in self.stages if stage.status in unlike), None)

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "diverged": self.diverged,
            "verdict": self.verdict,
            "first": self.first and self.first.name,
            "confusion": self.confusion or None,
            "first_unequal": self.first_unequal and self.first_unequal.name,
            "facts": self.facts,
            "stages": [stage.as_json() for stage in self.stages],
        }


@dataclass
class Divergence:
    """All cases that both traces have."""

    cases: list[CaseResult]
    only_in: tuple[list[str], list[str]]  # cases of the reference alone, of the other alone
    producers: tuple[str, str]
    exact: bool = False
    dtype: str | None = None

    @property
    def diverged(self) -> bool:
        """Whether any case does."""
        return any(case.diverged for case in self.cases)

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema_version": 1,
            "diverged": self.diverged,
            "exact": self.exact,
            "dtype": self.dtype,
            "producer": {"reference": self.producers[0], "other": self.producers[1]},
            "only_in_reference": self.only_in[0],
            "only_in_other": self.only_in[1],
            "cases": [case.as_json() for case in self.cases],
        }
