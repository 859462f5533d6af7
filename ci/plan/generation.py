"""One planned generation: what the runner is told, and the manifest of what it answered, wherever it ran."""

from __future__ import annotations

import importlib.metadata
import subprocess
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import ROOT
from ..artifact import manifest as manifests
from ..artifact.manifest import CaseRecord, HostRecord, Manifest, MoveRecord, RemoteRecord, RunRecord, Selected, Tool
from ..catalogue.model import Case
from ..catalogue.selection import Selection
from ..errors import GtError
from . import host as hosts
from .host import Host
from .jobs import Job

if TYPE_CHECKING:  # the runner is not installed where the planner runs
    from gt_runner.events import Ending

UNFINISHED = "not finished before, and --only-finished makes nothing"
ENDS: Final = ("done", "reused", "failed", "skipped")  # the runner's `events.ENDS`: each case ends in one of these


def now() -> str:
    """The time as a manifest has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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

    def only_looked_at(self) -> None:
        """Raises GtError where the cases are to be made again."""
        if self.fresh or self.verify:
            raise GtError("--only-finished gives what is there, --fresh and --verify make it again; leave one out")

    def run(self, jobs: Iterable[Mapping[str, Any]], **places: str | None) -> dict[str, Any]:
        """A run as the runner reads it; `places` are store, cache, models and previous, where it runs."""
        fresh = self.fresh or self.verify
        return {"jobs": list(jobs), "fresh": fresh, "nonce": self.nonce if fresh else None, **places}

    def job(
        self, job: Job, base: Path | None = None, image: Mapping[str, str] | None = None, host: Host | None = None
    ) -> dict[str, Any]:
        """A job as the runner reads it.

        `base` is where the folder of its case file lies, if it was moved; `host` runs it, if not the generation's own.
        """
        kind = hosts.kind_used(job, host or self.host)
        contained = {} if image is None else {"image": image}
        return {
            "name": job.name,
            "source": job.source,
            "device": "cpu" if kind == hosts.CPU else "cuda",
            "gpu_kind": kind,
            "gpus": job.gpus,
            "cases": [{**case.data(), "base": str(base or case.file.parent.resolve())} for case in job.cases],
            **contained,
        }

    def manifest(
        self,
        outcomes: Mapping[str, Ending],
        engine: str | None = None,
        hosts: Iterable[RemoteRecord] = (),
        moves: Iterable[MoveRecord] = (),
    ) -> Manifest:
        """The manifest; `outcomes` holds the event that each case ended in, `engine` the host's engine version.

        `hosts` are those that jobs were sent to, `moves` the jobs that went on from one that failed.
        """
        return Manifest(
            run=RunRecord(
                tool=tool(),
                selection=Selected(
                    mode=self.selection.mode,
                    source_group=self.selection.group,
                    case_ids=[case.id for case in self.cases],
                    on=self.on,
                ),
                host=HostRecord(gpu=self.host.kind, gpu_name=self.host.gpu_name or None, engine=engine),
                hosts=list(hosts),
                moves=list(moves),
                started=self.started,
                ended=now(),
                made=[case.id for case in self.cases if case.id in outcomes and outcomes[case.id]["event"] == "done"],
            ),
            cases={case.id: _record(case, outcomes.get(case.id)) for case in self.cases},
        )


def _record(case: Case, outcome: Ending | None) -> CaseRecord:
    if outcome is None:
        return manifests.unfinished(case.data(), "failed", "the runner ended without a word about this case", [])
    match outcome["event"]:
        case "done" | "reused":
            return CaseRecord.model_validate(outcome["record"])
        case "skipped":
            return manifests.unfinished(case.data(), "skipped", outcome["reason"], [])
        case "failed":
            return manifests.unfinished(case.data(), "failed", outcome["reason"], outcome.get("log", []))


def tool() -> Tool:
    """This diffusion-gt: its version, and the commit of its checkout.

    A commit between two releases is named by the tag before it, as 1.2.0-3-g0123abc. Where there is no tag, as in the
    module's container, the version is the package's.
    """
    commit = _git("rev-parse", "HEAD")
    tagged = _git("describe", "--tags", "--match", "v[0-9]*.[0-9]*.[0-9]*")  # v1, which moves, is no version
    return Tool(
        version=tagged.removeprefix("v") or importlib.metadata.version("diffusion-gt"),
        commit=commit or None,
        dirty=bool(commit and _git("status", "--porcelain")),
    )


def _git(*arguments: str) -> str:
    if not (ROOT / ".git").exists():
        return ""
    try:
        answer = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
