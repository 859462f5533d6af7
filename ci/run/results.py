"""What comes of a generation on an engine: outcomes of cases, and the directories that hold their files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..plan.generation import ENDS
from ..plan.jobs import Job

if TYPE_CHECKING:  # the runner has a container of its own
    import dagger

    from gt_runner.events import Ending, Event


@dataclass(frozen=True)
class Step:
    """What a step of the runner left: its events, and the directories that hold files of cases, if any do."""

    events: Sequence[Event]
    directory: dagger.Directory | None
    trace: dagger.Directory | None

    @property
    def outcomes(self) -> dict[str, Ending]:
        """The event that each case ended in."""
        return {event["case"]: event for event in self.events if event["event"] in ENDS}


@dataclass
class Results:
    """The event that each case ended in, and the directories that hold the files."""

    outcomes: dict[str, Ending] = field(default_factory=dict)
    directories: list[dagger.Directory] = field(default_factory=list)
    traces: list[dagger.Directory] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Add those of a step."""
        self.outcomes |= step.outcomes
        self.directories += filter(None, [step.directory])
        self.traces += filter(None, [step.trace])

    def fail(self, cases: Iterable[str], reason: str, log: Sequence[str] = ()) -> None:
        """Give each of these cases that has no outcome this one."""
        for name in cases:
            failure: Ending = {"event": "failed", "case": name, "phase": "generate", "reason": reason, "log": list(log)}
            self.outcomes.setdefault(name, failure)

    def rest(self, job: Job) -> Job:
        """The job, less the cases that have an outcome."""
        return replace(job, cases=tuple(case for case in job.cases if case.id not in self.outcomes))
