"""Generates on this machine, without containers: the same runner, in this Python environment."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from . import host as hosts
from . import manifest as manifests
from .case import Case
from .errors import GtError
from .host import Host
from .jobs import Job
from .manifest import CaseRecord, HostRecord, Manifest, RunRecord, Selected, Tool
from .selection import Selection

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "containers" / "runner"

Event = dict[str, Any]
Show = Callable[[Event], None]


@dataclass(frozen=True)
class LocalRun:
    """What to run here, and where things lie."""

    selection: Selection
    cases: Sequence[Case]
    jobs: Sequence[Job]
    host: Host
    on: str | None = None
    models: Path | None = None
    previous: Path | None = None
    fresh: bool = False

    @property
    def cache(self) -> Path:
        """Our cache: inputs, code, indexes and the result store; GT_CACHE moves it."""
        given = os.environ.get("GT_CACHE")
        return Path(given).resolve() if given else platformdirs.user_cache_path("diffusion-gt")

    @property
    def store(self) -> Path:
        """The result store."""
        return self.cache / "results"


@dataclass
class Outcome:
    """What a run gave: the manifest, the folder of each finished case, and whether it was interrupted."""

    manifest: Manifest
    results: dict[str, Path] = field(default_factory=dict)
    interrupted: bool = False


def generate(run: LocalRun, show: Show, *, quiet: bool) -> Outcome:
    """Run every job in the runner; `show` gets each event, `quiet` keeps the runner's own lines back.

    Raises GtError where the runner's environment is not installed or the earlier artifact cannot be read.
    """
    if importlib.util.find_spec("torch") is None:
        raise GtError("generating needs the runner's environment: run `uv sync`, and leave out --no-dev")
    if run.previous is not None:
        manifests.read(run.previous)
    started = _now()
    outcomes: dict[str, Event] = {}
    with _runner(_spec(run), quiet=quiet) as events:
        for event in events:
            show(event)
            if event["event"] in ("done", "reused", "failed", "skipped"):
                outcomes[event["case"]] = event
    return _outcome(run, outcomes, started)


def _spec(run: LocalRun) -> dict[str, Any]:
    def path(folder: Path | None) -> str | None:
        return str(folder.resolve()) if folder else None

    return {
        "jobs": [_job(job, run.host) for job in run.jobs],
        "store": str(run.store),
        "cache": str(run.cache),
        "models": path(run.models),
        "previous": path(run.previous),
        "fresh": run.fresh,
        "nonce": uuid.uuid4().hex if run.fresh else None,
    }


def _job(job: Job, host: Host) -> dict[str, Any]:
    kind = hosts.kind_used(job, host)
    return {
        "name": job.name,
        "source": job.source,
        "device": "cpu" if kind == hosts.CPU else "cuda",
        "gpu_kind": kind,
        "gpus": job.gpus,
        "cases": [{**case.data(), "base": str(case.file.parent.resolve())} for case in job.cases],
    }


@contextmanager
def _runner(spec: Mapping[str, Any], *, quiet: bool) -> Iterator[Iterator[Event]]:
    """Start the runner and give its events. Ctrl-C closes its input: it then ends its processes, and says so."""
    command = [sys.executable, "-m", "gt_runner", "run", "-"]
    path = os.pathsep.join(filter(None, [str(RUNNER), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101  # for the type checker, like the next one
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(json.dumps(spec) + "\n")
    process.stdin.flush()
    stop = process.stdin
    before = {sign: signal.signal(sign, lambda *_: stop.close()) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield (json.loads(line) for line in process.stdout)
    finally:
        stop.close()
        process.wait()
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _outcome(run: LocalRun, outcomes: Mapping[str, Event], started: str) -> Outcome:
    records = {case.id: _record(case, outcomes.get(case.id)) for case in run.cases}
    made = [name for name, event in outcomes.items() if event["event"] == "done"]
    selection = run.selection
    manifest = Manifest(
        run=RunRecord(
            tool=tool(),
            selection=Selected(
                mode=selection.mode,
                source_group=selection.group,
                case_ids=[case.id for case in run.cases],
                on=run.on,
            ),
            host=HostRecord(gpu=run.host.kind, gpu_name=run.host.gpu_name or None, engine=None),
            started=started,
            ended=_now(),
            made=[case.id for case in run.cases if case.id in made],
        ),
        cases=records,
    )
    results = {
        name: run.store / record.key.removeprefix("sha256:")
        for name, record in records.items()
        if record.key is not None
    }
    interrupted = any(event["event"] == "skipped" for event in outcomes.values())
    return Outcome(manifest, results, interrupted)


def _record(case: Case, event: Event | None) -> CaseRecord:
    if event is None:
        return manifests.unfinished(case.data(), "failed", "the runner ended without a word about this case", [])
    if "record" in event:
        return CaseRecord.model_validate(event["record"])
    status = "skipped" if event["event"] == "skipped" else "failed"
    return manifests.unfinished(case.data(), status, event["reason"], event.get("log", []))  # type: ignore[arg-type]


def tool() -> Tool:
    """This diffusion-gt: its version, and the commit of its checkout."""
    commit = _git("rev-parse", "HEAD")
    return Tool(
        version=importlib.metadata.version("diffusion-gt"),
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
