"""One planned generation: what was selected, and the jobs as the runner reads them, wherever it runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..catalogue import gpus
from ..catalogue.model import Case
from ..catalogue.selection import Selection
from ..errors import GtError
from .host import Host, kind_used
from .jobs import Job

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Ending

UNFINISHED = "not finished before, and --only-finished makes nothing"
ENDS: Final = ("done", "reused", "failed", "skipped")  # the runner's `events.ENDS`: each case ends in one of these


def now() -> str:
    """The time as a manifest has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def offered(need: str, machine: Host) -> dict[str, Any]:
    """What a machine adds to a job that needs this GPU kind, as the runner reads it."""
    kind = kind_used(need, machine)
    card = {} if kind == gpus.CPU or machine.card is None else {"card": machine.card}
    return {"device": "cpu" if kind == gpus.CPU else "cuda", "gpu_kind": kind, **card}


@dataclass(frozen=True)
class Generation:
    """What was selected, the jobs that make it, and the host that they run on."""

    selection: Selection
    cases: Sequence[Case]
    jobs: Sequence[Job]
    host: Host
    on: str | None = None
    fresh: bool = False
    verify: bool = False  # make each case a second time
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: str = field(default_factory=now)

    @property
    def anew(self) -> bool:
        """Whether cases are made whatever the result store holds."""
        return self.fresh or self.verify

    def only_looked_at(self) -> None:
        """Raises GtError where the cases are to be made again."""
        if self.anew:
            raise GtError("--only-finished gives what is there, --fresh and --verify make it again; leave one out")

    def skip_others(self, outcomes: dict[str, Ending], reason: str) -> None:
        """Give each case that has no outcome this one."""
        for case in self.cases:
            outcomes.setdefault(case.id, {"event": "skipped", "case": case.id, "reason": reason})

    def run(self, jobs: Iterable[Mapping[str, Any]], **places: str | None) -> dict[str, Any]:
        """A run as the runner reads it; `places` are store, cache, models and previous, where it runs."""
        return {"jobs": list(jobs), "fresh": self.anew, "nonce": self.nonce if self.anew else None, **places}

    def job(
        self, job: Job, base: Path | None = None, image: Mapping[str, str] | None = None, host: Host | None = None
    ) -> dict[str, Any]:
        """A job as the runner reads it.

        `base` is where the folder of its case file lies, if it was moved; `host` runs it, if not the generation's own.
        """
        container = {} if image is None else {"image": image}
        return {
            "name": job.name,
            "source": job.source,
            **offered(job.gpu, host or self.host),
            "gpus": job.gpus,
            "cases": [{**case.data(), "base": str(base or case.file.parent.resolve())} for case in job.cases],
            **container,
        }
