"""Generates on this machine, without containers: the same runner, in this Python environment."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import platformdirs

from ..artifact import manifest as manifests
from ..artifact.assemble import manifest_of
from ..artifact.folder import check_writable
from ..artifact.manifest import Manifest
from ..catalogue import inputs
from ..catalogue.model import Case
from ..errors import GtError, PreflightError
from ..plan.generation import ENDS, UNFINISHED, Generation
from . import double_run, runner

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Ending, Event

CACHE_ADVICE = "set GT_CACHE to a folder that can be written"
Show: TypeAlias = "Callable[[Event], None]"


@dataclass(frozen=True)
class Places:
    """Where things lie on this machine."""

    models: Path | None = None
    previous: Path | None = None
    results: Path | None = None  # a result store that is not the user's own
    engine: Path | None = None  # the checkout of the serving engine that makes native cases
    insist: bool = False  # on the host's GPUs, also where another process holds memory of them

    @property
    def cache(self) -> Path:
        """Our cache: inputs, code, indexes and the result store; GT_CACHE moves it.

        Raises GtError where there is no GT_CACHE, and the user has no home.
        """
        setting = os.environ.get("GT_CACHE")
        if setting:
            return Path(setting).resolve()
        try:
            return platformdirs.user_cache_path("diffusion-gt")
        except RuntimeError:  # no HOME, and a user that the system does not know, as in some containers
            raise GtError(f"this user has no home to keep a cache in; {CACHE_ADVICE}") from None

    @property
    def store(self) -> Path:
        """The result store."""
        return self.results or self.cache / "results"

    def results_of(self, manifest: Manifest) -> dict[str, Path]:
        """The folder of each finished case's files."""
        keys = {name: record.key for name, record in manifest.cases.items() if record.key is not None}
        return {name: self.store / key.removeprefix("sha256:") for name, key in keys.items()}

    def refuse_obstacles(self, cases: Iterable[Case], spec: Mapping[str, Any]) -> None:
        """Raises PreflightError with what the runner finds in a run's way, if some model comes from the hub."""
        repositories = {repo for case in cases for repo in case.repositories}
        if any(self.models is None or not (self.models / repo).is_dir() for repo in repositories):
            runner.refuse_obstacles(spec)

    def named(self) -> dict[str, str | None]:
        """As the runner reads them."""
        places = {"store": self.store, "cache": self.cache, "models": self.models, "previous": self.previous}
        places["serving"] = self.engine
        return {name: str(folder.resolve()) if folder else None for name, folder in places.items()}

    def cards(self, run: Generation) -> dict[str, Any]:
        """The GPUs of this machine, as the runner reads them; nothing where there is none."""
        cards = [{"id": card.id, "number": card.number, "memory_gb": card.memory_gb} for card in run.host.cards]
        return {"cards": cards, "insist": self.insist} if cards else {}

    def check(self, cases: Iterable[Case]) -> None:
        """Raises GtError where the cache cannot be written, or a serving engine's checkout is needed and not named."""
        check_writable(self.cache, CACHE_ADVICE)
        serving = next((case.serving for case in cases if case.serving is not None), None)
        if serving is not None and self.engine is None:
            raise GtError(
                f"these cases are made by {serving.repo} itself: name a checkout of it with --engine DIR, such as from "
                f"`git clone https://github.com/{serving.repo} DIR && git -C DIR checkout {serving.ref}`; "
                "docs/run/native.md says how it is installed"
            )

    def check_files(self, cases: Sequence[Case]) -> None:
        """Raises GtError for an earlier artifact that cannot be read, and PreflightError for inputs that are wrong."""
        if self.previous is not None:
            manifests.read(self.previous)
        if obstacles := inputs.obstacles(cases):
            raise PreflightError((), obstacles)


@dataclass
class Outcome:
    """The result of a run: its manifest, the folder of each finished case, and whether it was interrupted."""

    manifest: Manifest
    results: dict[str, Path] = field(default_factory=dict)
    interrupted: bool = False


def generate(
    run: Generation,
    places: Places,
    show: Show | None = None,
    *,
    preflight: bool = True,
    trace: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run every job in the runner; `show` gets each event in place of the runner's own lines.

    `trace` says which tensors are kept, and where.

    Raises GtError where the runner's environment is not installed, an engine's checkout is not named or the earlier
    artifact cannot be read, and PreflightError where inputs are not the images that were meant, or the preflight
    finds models that are closed to the user or too small a disk.
    """
    places.check(run.cases)
    if importlib.util.find_spec("torch") is None:
        raise GtError("generating needs the runner's environment: run `uv sync`, and leave out --no-dev")
    places.check_files(run.cases)
    with tempfile.TemporaryDirectory(prefix="gt-first-") as first:
        delivery = {"deliver": first} if run.verify else {}
        spec = run.run([run.job(job) for job in run.jobs], **places.named(), **delivery) | places.cards(run)
        if trace is not None:
            spec["trace"] = trace
        if preflight:
            places.refuse_obstacles(run.cases, spec)
        outcomes = _outcomes(spec, show)
        if run.verify and not _interrupted(outcomes):
            double_run.settle(outcomes, _second(run, places, Path(first), show))
    return _outcome(run, places, outcomes, interrupted=_interrupted(outcomes))


def _outcome(run: Generation, places: Places, outcomes: Mapping[str, Ending], *, interrupted: bool = False) -> Outcome:
    manifest = manifest_of(run, outcomes)
    return Outcome(manifest, places.results_of(manifest), interrupted)


def finished(run: Generation, places: Places) -> Outcome:
    """The cases that are finished already; none is made.

    Raises GtError where the cases are to be made again, or an engine's checkout is not named.
    """
    run.only_looked_at()
    places.check(run.cases)
    events = runner.look(run.run([run.job(job) for job in run.jobs], **places.named()))
    outcomes: dict[str, Ending] = {event["case"]: event for event in events if event["event"] in ENDS}
    run.skip_others(outcomes, UNFINISHED)
    return _outcome(run, places, outcomes)


def _second(run: Generation, places: Places, first: Path, show: Show | None) -> dict[str, Ending]:
    """Make the cases again, in new processes and into a store that nobody else reads."""
    again = double_run.again(run)
    with tempfile.TemporaryDirectory(prefix="gt-second-") as store:
        folders = {**places.named(), "store": store, "previous": None, "against": str(first)}
        spec = again.run([again.job(job) for job in again.jobs], **folders) | places.cards(run)
        return _outcomes(spec, show)


def _outcomes(spec: Mapping[str, Any], show: Show | None) -> dict[str, Ending]:
    outcomes: dict[str, Ending] = {}
    with runner.events_of(spec, quiet=show is not None) as events:
        for event in events:
            if show is not None:
                show(event)
            if event["event"] in ENDS:
                outcomes[event["case"]] = event
    return outcomes


def _interrupted(outcomes: Mapping[str, Ending]) -> bool:
    return any(event["event"] == "skipped" for event in outcomes.values())
