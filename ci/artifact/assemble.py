"""Puts the manifest of a run together, from the plan and from the event that each case ended in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..catalogue.model import Case
from ..errors import printable
from ..plan.generation import Generation, now
from ..words import first_mistake
from .manifest import Manifest
from .records import CaseRecord, HostRecord, MoveRecord, RemoteRecord, RunRecord, Selected, Tool, unfinished
from .tool import of_checkout

if TYPE_CHECKING:  # the runner is not installed where this runs
    from gt_runner.events import Ending


def manifest_of(
    run: Generation,
    outcomes: Mapping[str, Ending],
    engine: str | None = None,
    hosts: Iterable[RemoteRecord] = (),
    moves: Iterable[MoveRecord] = (),
    tool: Tool | None = None,
    engine_ref: str | None = None,
) -> Manifest:
    """The manifest of a run that ends now.

    `outcomes` holds the event that each case ended in, `engine` the version of Dagger's engine, `hosts` the hosts that
    jobs were sent to, `moves` the jobs that went on from a host that failed; `tool` is the diffusion-gt that ran, where
    that is not this checkout; `engine_ref` is the ref that the serving engine was fetched at.
    """
    cases = {case.id: _record(case, outcomes.get(case.id)) for case in run.cases}
    return Manifest(
        run=RunRecord(
            tool=tool or of_checkout(),
            selection=Selected(
                mode=run.selection.mode,
                source_group=run.selection.group,
                case_ids=[case.id for case in run.cases],
                on=run.on,
                engine_ref=engine_ref,
            ),
            host=HostRecord(gpu=run.host.kind, gpu_name=run.host.gpu_name or None, engine=engine),
            hosts=list(hosts),
            moves=list(moves),
            started=run.started,
            ended=now(),
            made=[name for name, case in cases.items() if case.status == "ok" and outcomes[name]["event"] == "done"],
        ),
        cases=cases,
    )


def _record(case: Case, ending: Ending | None) -> CaseRecord:
    if ending is None:
        return unfinished(case.data(), "failed", "the runner ended without a result for this case", [])
    match ending["event"]:
        case "done" | "reused":
            try:
                return CaseRecord.model_validate(ending["record"])
            except ValidationError as error:  # of an image of another version
                reason = f"its runner's record is not as this version reads it: {printable(first_mistake(error))}"
                return unfinished(case.data(), "failed", f"{reason}; use a runner image of this version", [])
        case "skipped":
            return unfinished(case.data(), "skipped", ending["reason"], [])
        case "failed":
            return unfinished(case.data(), "failed", ending["reason"], ending.get("log", []))
