"""The runner as a process on this machine, in this Python environment or in a container that a command starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import RUNNER
from ..errors import GtError, PreflightError
from .events import events_in
from .signals import Stop, on_stop

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Event

OF_THE_IMAGE = ("HF_HOME", "HF_HUB_CACHE", "PYTHONHOME", "PYTHONPATH")  # paths that are others in a container


def look(spec: Mapping[str, Any]) -> Iterator[Event]:
    """The events of looking for a run's cases in the result store."""
    return events_in(_step("prepare", "-", text=json.dumps({**spec, "look": True})).stdout.splitlines())


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
        lines = (answer.stderr or "").strip().splitlines()[-1:] or [f"exit status {answer.returncode}"]
        raise GtError(f"the runner does not answer ({lines[0]}); its environment may be incomplete: run `uv sync`")
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


@contextmanager
def events_of(
    spec: Mapping[str, Any], *, quiet: bool, within: Sequence[str] = (), stop: Stop | None = None
) -> Iterator[Iterator[Event]]:
    """Start the runner and give its events. Ctrl-C closes its input: it then ends its processes, and says so.

    `within`: a command that starts its own arguments in a container, which has a Python and a runner of its own. `stop`
    is set at Ctrl-C.
    """
    command = [*([*within, "python"] if within else [sys.executable]), "-m", "gt_runner", "run", "-"]
    stop, is_sent = stop or Stop(), False

    def end(*_: object) -> None:
        stop.is_set = True
        if is_sent:  # within a write, closing is an error
            close()

    def close() -> None:
        with suppress(BrokenPipeError):  # it ended by itself
            pipe.close()

    with on_stop(end):  # from before it starts: Ctrl-C would else leave it behind
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
        pipe = process.stdin
        try:
            with suppress(BrokenPipeError):  # it ended before it read: it has no events either
                pipe.write(json.dumps(spec) + "\n")
                pipe.flush()
            is_sent = True
            if stop.is_set:
                close()
            yield events_in(process.stdout)
        finally:
            close()
            process.wait()
