"""The limits of `gate.yaml`, validated, and what they say of measured values."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from ..data import Data, read

GATE = Path(__file__).with_name("gate.yaml")


class Metric(Data):
    """What a number says."""

    unit: str
    meaning: str


class Condition(Data):
    """A value beyond its limit."""

    metric: str
    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("either below or above")
        return self

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether the value was measured and is beyond the limit."""
        value = values.get(self.metric)
        if value is None:
            return False
        return value < self.below if self.below is not None else value > (self.above or 0.0)

    def text(self, values: Mapping[str, float]) -> str:
        """Metric, value and limit."""
        sign, limit = ("<", self.below) if self.below is not None else (">", self.above)
        return f"{self.metric} {values[self.metric]:.3g} {sign} {limit:g}"


class Rule(Data):
    """A reason to refuse an image."""

    name: str
    all: Annotated[list[Condition], Field(min_length=1)]
    any: list[Condition] = Field(default_factory=list)

    def broken(self, values: Mapping[str, float]) -> list[Condition]:
        """The conditions that together refuse the image; empty if it passes."""
        some = [condition for condition in self.any if condition.holds(values)]
        if not all(condition.holds(values) for condition in self.all) or (self.any and not some):
            return []
        return [*self.all, *some]


class Modes(Data):
    """The colour modes that images of these sources may have."""

    sources: list[str]
    modes: list[str]


class Gate(Data):
    """`gate.yaml`."""

    version: int = Field(ge=1, le=1)
    least_side: int = Field(ge=8)
    modes: list[Modes]
    metrics: dict[str, Metric]
    rules: list[Rule]

    @model_validator(mode="after")
    def _only_known_metrics(self) -> Self:
        names = {condition.metric for rule in self.rules for condition in (*rule.all, *rule.any)}
        if not names <= self.metrics.keys():
            raise ValueError(f"rules for metrics that are described; {sorted(names - self.metrics.keys())} are not")
        return self

    def modes_of(self, source: str | None) -> list[str]:
        """The colour modes that an image of this source may have."""
        return next(line.modes for line in self.modes if "*" in line.sources or source in line.sources)

    def problems(self, values: Mapping[str, float], words: Mapping[str, str]) -> list[str]:
        """What is wrong, a clause for each rule; `words` describe a finding, by rule."""
        lines = []
        for rule in self.rules:
            conditions = rule.broken(values)
            if conditions:
                name = f"{rule.name} {words[rule.name]}" if rule.name in words else rule.name
                lines.append(f"{name}: {', '.join(condition.text(values) for condition in conditions)}")
        return lines


@functools.cache
def gate() -> Gate:
    """The limits in force."""
    return read(GATE, Gate)
