"""The runner's command line, for programs.

    python -m gt_runner run RUN.json          supervise jobs; RUN.json holds a `Run`
    python -m gt_runner run -                 the same, the run read from standard input; ends when that closes
    python -m gt_runner prepare RUN.json      only the fetch phase of a run's jobs, where another machine has the GPU
    python -m gt_runner preflight RUN.json    what stands in a run's way, as a JSON list, before anything is fetched
    python -m gt_runner newest REPOS.json     the newest commit of each repository of a JSON list, or why there is none
    python -m gt_runner environment           what this environment is, as JSON: digests and versions
    python -m gt_runner checkout FOLDER       what an engine's checkout is: its commit, or a digest of its content
    python -m gt_runner folder URL REF PATH FOLDER    fetch one folder of a git repository into an empty folder

`run` and `prepare` write events as JSON lines to standard output, lines for people to standard error; their exit status
is 0 when no case failed, 1 when some did, 130 when interrupted. `fetch`, `work` and `engine` are steps of `run`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any, cast

from .supervise import console, process


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="gt_runner", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("preflight").add_argument("file")
    commands.add_parser("newest").add_argument("file")
    commands.add_parser("checkout").add_argument("file", metavar="folder")
    folder = commands.add_parser("folder")
    for name in ("url", "ref", "path", "folder"):
        folder.add_argument(name)
    for reaper in ("run", "prepare"):
        sub = commands.add_parser(reaper)
        sub.add_argument("file")
        sub.add_argument("--events-file", type=Path, help="events go here, and not to standard output")
    commands.add_parser("environment")
    for step in ("fetch", "work", "engine"):
        sub = commands.add_parser(step)
        sub.add_argument("--events", type=int, required=True)
        sub.add_argument("--warm", default="")
    arguments = parser.parse_args()
    match arguments.command:
        case "run":
            return _run(arguments.file, arguments.events_file)
        case "prepare":
            return _prepare(arguments.file, arguments.events_file)
        case "preflight" | "newest" | "checkout":
            asked = {"preflight": _preflight, "newest": _newest, "checkout": _checkout}
            return asked[arguments.command](arguments.file)
        case "environment":
            return _environment()
        case "folder":
            return _folder(arguments.url, arguments.ref, arguments.path, Path(arguments.folder))
    return _step(arguments.command, process.emitter(arguments.events), arguments.warm)


def _step(step: str, emit: process.Emit, source: str) -> int:
    """One step of a job; each imports what it needs and no more."""
    if step == "fetch":
        from .fetch.prepare import prepare  # noqa: PLC0415

        prepare(process.task(), emit)
        return 0
    if step == "engine":
        from .supervise import reaper  # noqa: PLC0415
        from .work.serving import EngineWorker  # noqa: PLC0415

        reaper.take_orphans()
        return process.leave(EngineWorker(process.task(reaper.end_all), emit).run())
    from .work.official import Worker, warm  # noqa: PLC0415

    warm(source)
    return process.leave(Worker(process.task(), emit).run())


def _run(file: str, events: Path | None) -> int:
    from .supervise.supervisor import Supervisor  # noqa: PLC0415

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = _watched() if file == "-" else _read(file)
    told = Told(run, events)
    finished = Supervisor(run, told.emit).run()
    return 130 if not finished else int(told.missing)


def _prepare(file: str, events: Path | None) -> int:
    from .contract import SHARED  # noqa: PLC0415
    from .fetch.prepare import Task, prepare  # noqa: PLC0415
    from .store import Store  # noqa: PLC0415

    run = _read(file)
    told = Told(run, events)
    store = Store(Path(run["store"]))
    store.sweep()
    if run["previous"] and not run["fresh"]:
        store.adopt(Path(run["previous"]))
    for job in run["jobs"]:
        prepare(cast("Task", {"job": job, **{name: run[name] for name in SHARED if name in run}}), told.emit)
    return int(told.missing)


def _preflight(file: str) -> int:
    from .fetch.preflight import obstacles  # noqa: PLC0415

    print(json.dumps(obstacles(_read(file))))  # noqa: T201
    return 0


def _newest(file: str) -> int:
    from .errors import FetchError  # noqa: PLC0415
    from .fetch.hub import newest  # noqa: PLC0415

    found: dict[str, dict[str, str]] = {}
    for repo in _read(file):
        try:
            found[repo] = {"commit": newest(repo)}
        except FetchError as error:
            found[repo] = {"error": str(error)}
    print(json.dumps(found))  # noqa: T201
    return 0


def _environment() -> int:
    from .environment import environment_digest, runner_digest, versions  # noqa: PLC0415

    told = {"environment": environment_digest(), "runner": runner_digest(), "versions": versions()}
    print(json.dumps(told))  # noqa: T201
    return 0


def _checkout(folder: str) -> int:
    from .errors import FetchError  # noqa: PLC0415
    from .fetch.serving_checkout import identity_of  # noqa: PLC0415

    try:
        print(json.dumps(identity_of(Path(folder))))  # noqa: T201
    except FetchError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _folder(url: str, ref: str, path: str, folder: Path) -> int:
    from .errors import FetchError  # noqa: PLC0415
    from .fetch.git import fetch_folder  # noqa: PLC0415

    try:
        fetch_folder(url, ref, path, folder)
    except FetchError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


class Told:
    """Tells events to programs and people, and delivers each finished case where the run says so."""

    def __init__(self, run: Any, file: Path | None) -> None:
        self.missing = False
        self._out = file.open("w", encoding="utf-8") if file else sys.stdout
        self._store, self._deliver, self._against = run["store"], run.get("deliver"), run.get("against")

    def emit(self, event: process.Event) -> None:
        """Tell one event."""
        from .store import Store  # noqa: PLC0415

        self.missing |= event["event"] in ("failed", "skipped")
        if self._deliver and "record" in event:
            Store(Path(self._store)).deliver(event["record"], Path(self._deliver))
        if self._against and event["event"] == "done":
            from .work.second_run import verification  # noqa: PLC0415

            made = Store(Path(self._store)).path(event["record"]["key"])
            event |= {"verification": verification(event["record"], Path(self._against), made)}
        console.show(event)
        print(json.dumps(event), file=self._out, flush=True)  # the events are the output


def _read(file: str) -> Any:
    return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())


def _watched() -> Any:
    """The run from standard input; its closing later on is the caller's way to stop us."""
    run = json.loads(sys.stdin.buffer.readline())
    main_thread = threading.get_ident()

    def interrupt_at_end() -> None:
        process.wait_for_end_of_input()
        signal.pthread_kill(main_thread, signal.SIGINT)

    threading.Thread(target=interrupt_at_end, daemon=True).start()
    return run


if __name__ == "__main__":
    sys.exit(main())
