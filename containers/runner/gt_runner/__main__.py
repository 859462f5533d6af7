"""The runner's command line, for programs.

    python -m gt_runner run RUN.json          supervise jobs; RUN.json holds a `tasks.Run`
    python -m gt_runner run -                 the same, the run read from standard input; ends when that closes
    python -m gt_runner prepare RUN.json      only the fetch phase of a run's jobs, where another machine has the GPU
    python -m gt_runner preflight RUN.json    what stands in a run's way, as a JSON list, before anything is fetched
    python -m gt_runner newest REPOS.json     the newest commit of each repository of a JSON list, or why there is none
    python -m gt_runner environment           what this environment is, as JSON: digests and versions
    python -m gt_runner checkout FOLDER       what a serving engine's checkout is: its commit, or its content's digest
    python -m gt_runner folder URL REF PATH FOLDER    fetch one folder of a git repository into an empty folder

`run` and `prepare` write events (`events.py`) as JSON lines to standard output, lines for people to standard error;
their exit status is 0 when no case failed, 1 when some did, 130 when interrupted. A file of `-` is standard input, and
what reads that ends soon after its caller. `fetch`, `work` and `serve` are steps of `run`.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import os_reason
from .supervise import console, process, stopping

if TYPE_CHECKING:
    from .events import Event
    from .tasks import Run


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="gt_runner", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        sub = commands.add_parser(name)
        sub.set_defaults(function=function)
        if function is _step:
            sub.add_argument("--events", type=int, required=True)
            sub.add_argument("--source", default="", help="what to import before the task comes")
            sub.add_argument("--pipeline", default="", help="of the source, to be imported too")
        elif name == "folder":
            for part in ("url", "ref", "path", "folder"):
                sub.add_argument(part)
        elif name != "environment":
            sub.add_argument("file")
        if name in ("run", "prepare"):
            sub.add_argument("--events-file", type=Path, help="events go here, and not to standard output")
    arguments = parser.parse_args()
    return int(arguments.function(arguments))


def _step(arguments: argparse.Namespace) -> int:
    """One step of a job; each imports what it needs and no more."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent's way to end it, also where its own caller ignores that
    emit = process.emitter(arguments.events)
    if arguments.command == "fetch":
        from .fetch.prepare import prepare  # noqa: PLC0415

        lines = process.lines()
        prepare(next(lines), emit, process.asking(emit, lines))
        return 0
    if arguments.command == "serve":
        from .supervise import reaper  # noqa: PLC0415
        from .work.serving import ServingWorker  # noqa: PLC0415

        reaper.take_orphans()
        lines = process.lines(reaper.end_all)
        return process.leave(ServingWorker(next(lines), emit, process.asking(emit, lines)).run())
    from .work import warm  # noqa: PLC0415

    lines = process.lines()
    warm.prepare(arguments.source, arguments.pipeline, lambda: bool(next(lines)))
    from .work.official import OfficialWorker  # noqa: PLC0415

    return process.leave(OfficialWorker(next(lines), emit, process.asking(emit, lines)).run())


def _run(arguments: argparse.Namespace) -> int:
    from .supervise.supervisor import Supervisor  # noqa: PLC0415

    stopping.interruptible()
    run = _run_of_caller() if arguments.file == "-" else _read(arguments.file)
    reporter = Reporter(run, arguments.events_file)
    is_whole = Supervisor(run, reporter.emit).run()
    return 130 if not is_whole else int(reporter.missing)


def _prepare(arguments: argparse.Namespace) -> int:
    from .fetch.prepare import prepare  # noqa: PLC0415
    from .store import Store  # noqa: PLC0415
    from .tasks import fetch_task  # noqa: PLC0415

    run: Run = _read(arguments.file)
    reporter = Reporter(run, arguments.events_file)
    Store.opened(run)
    for job in run["jobs"]:
        prepare(fetch_task(run, job), reporter.emit)
    return int(reporter.missing)


def _preflight(arguments: argparse.Namespace) -> int:
    from .fetch.preflight import obstacles  # noqa: PLC0415

    return _answer(obstacles(_read(arguments.file)))


def _newest(arguments: argparse.Namespace) -> int:
    from .fetch.hub import newest_of  # noqa: PLC0415

    return _answer(newest_of(_read(arguments.file)))


def _environment(_: argparse.Namespace) -> int:
    from .environment import environment_digest, runner_digest, versions  # noqa: PLC0415

    return _answer({"environment": environment_digest(), "runner": runner_digest(), "versions": versions()})


def _checkout(arguments: argparse.Namespace) -> int:
    from .errors import FetchError  # noqa: PLC0415
    from .fetch.serving_checkout import identity_of  # noqa: PLC0415

    try:
        return _answer(identity_of(Path(arguments.file)))
    except FetchError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1


def _folder(arguments: argparse.Namespace) -> int:
    from .errors import FetchError  # noqa: PLC0415
    from .fetch.git import fetch_folder  # noqa: PLC0415

    try:
        fetch_folder(arguments.url, arguments.ref, arguments.path, Path(arguments.folder))
    except FetchError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


COMMANDS = {
    "run": _run,
    "prepare": _prepare,
    "preflight": _preflight,
    "newest": _newest,
    "environment": _environment,
    "checkout": _checkout,
    "folder": _folder,
    **dict.fromkeys(("fetch", "work", "serve"), _step),
}


def _answer(value: Any) -> int:
    print(json.dumps(value))  # noqa: T201  # the answer is the output
    return 0


class Reporter:
    """Writes events for programs and for people, and delivers each finished case where the run says so."""

    def __init__(self, run: Run, file: Path | None) -> None:
        from .supervise.spans import Spans  # noqa: PLC0415

        self.missing, self._spans = False, Spans()
        self._out = file.open("w", encoding="utf-8") if file else sys.stdout
        self._store, self._deliver, self._against = run["store"], run.get("deliver"), run.get("against")
        self._show = console.show
        if os.environ.get("GITHUB_ACTIONS") == "true":
            groups = console.Groups(run["jobs"])
            self._show = groups.show
            atexit.register(groups.close)

    def emit(self, event: Event) -> None:
        """Write one event."""
        from .store import Store  # noqa: PLC0415

        if self._deliver and (event["event"] == "done" or event["event"] == "reused"):
            try:
                Store(Path(self._store)).deliver(event["record"], Path(self._deliver))
            except OSError as error:  # such as a full disk: the case is in the store, but not where it was asked for
                reason = f"its files could not be delivered ({os_reason(error)})"
                event = {"event": "failed", "case": event["case"], "phase": "save", "reason": reason}
        self.missing |= event["event"] in ("failed", "skipped")
        if self._against and event["event"] == "done":
            from .supervise.second_run import verification  # noqa: PLC0415

            files = Store(Path(self._store)).path(event["record"]["key"])
            event["verification"] = verification(event["record"], Path(self._against), files)
        self._show(event)
        self._spans.show(event)
        print(json.dumps(event), file=self._out, flush=True)


def _read(file: str) -> Any:
    if file != "-":
        return json.loads(Path(file).read_text())
    process.end_with_caller()
    return json.loads(sys.stdin.read())


def _run_of_caller() -> Run:
    """The run from standard input; its closing later on is the caller's way to stop us."""
    run: Run = json.loads(sys.stdin.buffer.readline())
    main_thread = threading.get_ident()

    def interrupt_at_end() -> None:
        process.wait_for_end_of_input()
        signal.pthread_kill(main_thread, signal.SIGINT)

    threading.Thread(target=interrupt_at_end, daemon=True).start()
    return run


if __name__ == "__main__":
    sys.exit(main())
