"""Generates on this machine, without containers: the same runner, in this Python environment."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import platformdirs

from .. import RUNNER
from ..artifact import manifest as manifests
from ..artifact.assemble import manifest_of
from ..artifact.folder import check_writable
from ..artifact.manifest import Manifest
from ..catalogue import inputs
from ..catalogue.model import Case
from ..errors import GtError, PreflightError
from ..plan.generation import ENDS, UNFINISHED, Generation
from . import double_run
from .events import events_in

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Ending, Event

CACHE_ADVICE = "set GT_CACHE to a folder that can be written"
OF_THE_IMAGE = ("HF_HOME", "HF_HUB_CACHE", "PYTHONHOME", "PYTHONPATH")  # paths that are others in a container
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
        moved = os.environ.get("GT_CACHE")
        if moved:
            return Path(moved).resolve()
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

    def lacks(self, repo: str) -> bool:
        """Whether a repository is to come from the model hub."""
        return self.models is None or not (self.models / repo).is_dir()

    def named(self) -> dict[str, str | None]:
        """As the runner reads them."""
        places = {"store": self.store, "cache": self.cache, "models": self.models, "previous": self.previous}
        places["serving"] = self.engine
        return {name: str(folder.resolve()) if folder else None for name, folder in places.items()}

    def cards(self, run: Generation) -> dict[str, Any]:
        """The GPUs of this machine, as the runner reads them; nothing where there is none."""
        cards = [{"id": card.id, "number": card.number, "memory_gb": card.memory_gb} for card in run.host.cards]
        return {"cards": cards, "named": self.insist} if cards else {}

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
    if places.previous is not None:
        manifests.read(places.previous)
    if wrong := inputs.obstacles(run.cases):
        raise PreflightError((), wrong)
    with tempfile.TemporaryDirectory(prefix="gt-first-") as first:
        delivered = {"deliver": first} if run.verify else {}
        spec = run.run([run.job(job) for job in run.jobs], **places.named(), **delivered) | places.cards(run)
        if trace is not None:
            spec["trace"] = trace
        if preflight and any(places.lacks(repo) for case in run.cases for repo in case.repositories):
            refuse_obstacles(spec)
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
    events = looked(run.run([run.job(job) for job in run.jobs], **places.named()))
    outcomes: dict[str, Ending] = {event["case"]: event for event in events if event["event"] in ENDS}
    run.skip_others(outcomes, UNFINISHED)
    return _outcome(run, places, outcomes)


def looked(spec: Mapping[str, Any]) -> Iterator[Event]:
    """The events of looking for a run's cases in the result store."""
    return events_in(_step("prepare", "-", text=json.dumps({**spec, "look": True})).stdout.splitlines())


def _second(run: Generation, places: Places, first: Path, show: Show | None) -> dict[str, Ending]:
    """Make the cases again, in new processes and into a store that nobody else reads."""
    again = double_run.again(run)
    with tempfile.TemporaryDirectory(prefix="gt-second-") as store:
        folders = {**places.named(), "store": store, "previous": None, "against": str(first)}
        spec = again.run([again.job(job) for job in again.jobs], **folders) | places.cards(run)
        return _outcomes(spec, show)


def _outcomes(spec: Mapping[str, Any], show: Show | None) -> dict[str, Ending]:
    outcomes: dict[str, Ending] = {}
    with runner(spec, quiet=show is not None) as events:
        for event in events:
            if show is not None:
                show(event)
            if event["event"] in ENDS:
                outcomes[event["case"]] = event
    return outcomes


def _interrupted(outcomes: Mapping[str, Ending]) -> bool:
    return any(event["event"] == "skipped" for event in outcomes.values())


def identity() -> dict[str, Any]:
    """The digests of the runner's code and of this Python environment, and what versions it has."""
    environment: dict[str, Any] = _answer("environment")
    return environment


def checkout(folder: Path) -> str:
    """What an engine's checkout is: `commit:…`, or a digest of its content. Raises GtError."""
    identity: str = _answer("checkout", str(folder.resolve()))
    return identity


def newest(repos: Sequence[str]) -> dict[str, dict[str, str]]:
    """The newest commit of each repository of the model hub (`commit`), or the reason for none (`error`).

    Raises GtError where the runner does not answer.
    """
    commits: dict[str, dict[str, str]] = _answer("newest", "-", text=json.dumps(repos), quiet=False)
    return commits


def _answer(*command: str, text: str = "", quiet: bool = True) -> Any:
    """The answer of a step of the runner to `text`; unless `quiet`, its lines for people go to standard error."""
    # The folder, and not just PYTHONPATH: in a Dagger module's container its name has a colon in it.
    answer = _step(*command, text=text, cwd=RUNNER, stderr=subprocess.PIPE if quiet else None)
    if answer.returncode:
        last = (answer.stderr or "").strip().splitlines()[-1:] or [f"exit status {answer.returncode}"]
        raise GtError(f"the runner does not answer ({last[0]}); its environment may be incomplete: run `uv sync`")
    return json.loads(answer.stdout)


def refuse_obstacles(spec: Mapping[str, Any]) -> None:
    """Raises PreflightError with what the runner finds in a run's way."""
    answer = _step("preflight", "-", text=json.dumps(spec))
    obstacles = json.loads(answer.stdout) if answer.returncode == 0 else []  # the run itself will say what is wrong
    if obstacles:
        raise PreflightError(obstacles)


def _step(*command: str, text: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A step of the runner that reads a text and ends."""
    program = [sys.executable, "-m", "gt_runner", *command]
    return subprocess.run(program, input=text, env=_env(), stdout=subprocess.PIPE, text=True, check=False, **options)


def _env() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(RUNNER), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def stops() -> list[signal.Signals]:
    """The signals that end a run as Ctrl-C does; without SIGHUP under nohup, which asks for that."""
    kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if kept else [signal.SIGHUP])]


@contextmanager
def runner(spec: Mapping[str, Any], *, quiet: bool, within: Sequence[str] = ()) -> Iterator[Iterator[Event]]:
    """Start the runner and give its events. Ctrl-C closes its input: it then ends its processes, and says so.

    `within`: a command that starts its own arguments in a container, which has a Python and a runner of its own.
    """
    command = [*([*within, "python"] if within else [sys.executable]), "-m", "gt_runner", "run", "-"]
    asked = stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        if asked:  # within a write, closing is an error
            with suppress(BrokenPipeError):  # it ended by itself
                given.close()

    with on_stop(stop):  # from before it starts: Ctrl-C would else leave it behind
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            env={name: value for name, value in os.environ.items() if name not in OF_THE_IMAGE} if within else _env(),
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101  # for the type checker, like the next one
        assert process.stdout is not None  # noqa: S101
        given = process.stdin
        try:
            with suppress(BrokenPipeError):  # it ended before it read: it has no events either
                given.write(json.dumps(spec) + "\n")
                given.flush()
            asked = True
            if stopped:
                stop()
            yield events_in(process.stdout)
        finally:
            asked = True
            stop()
            process.wait()


@contextmanager
def on_stop(stop: Callable[..., None]) -> Iterator[None]:
    """While open, `stop` is called for each signal that ends a run."""
    handlers = {sign: signal.signal(sign, stop) for sign in stops()}
    try:
        yield
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler)
