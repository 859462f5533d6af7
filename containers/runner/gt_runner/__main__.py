"""The runner's command line, for programs: `run` supervises jobs, `fetch` and `work` are its steps.

    python -m gt_runner run RUN.json     events as JSON lines on standard output, lines for people on standard error
    python -m gt_runner run -            the same, the run read from standard input; ends when that closes

Exit status of `run`: 0 all cases are there, 1 some are not, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from . import child, lines


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="gt_runner", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run").add_argument("file")
    for step in ("fetch", "work"):
        sub = commands.add_parser(step)
        sub.add_argument("--events", type=int, required=True)
        sub.add_argument("--warm", default=None)
    arguments = parser.parse_args()
    if arguments.command == "run":
        return _run(arguments.file)
    emit = child.emitter(arguments.events)
    if arguments.command == "fetch":
        from .prepare import prepare  # noqa: PLC0415  # each step imports what it needs and no more

        prepare(child.task(), emit)
        return 0
    from .worker import Worker, warm  # noqa: PLC0415

    warm(arguments.warm)
    return Worker(child.task(), emit).run()


def _run(file: str) -> int:
    from .supervisor import Supervisor  # noqa: PLC0415

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = _watched() if file == "-" else json.loads(Path(file).read_text())
    missing = False

    def emit(event: child.Event) -> None:
        nonlocal missing
        missing |= event["event"] in ("failed", "skipped")
        lines.show(event)
        print(json.dumps(event), flush=True)  # noqa: T201  # the events are the output

    finished = Supervisor(run, emit).run()
    return 130 if not finished else int(missing)


def _watched() -> Any:
    """The run from standard input; its closing later on is the caller's way to stop us."""
    run = json.loads(sys.stdin.buffer.readline())
    main_thread = threading.get_ident()

    def interrupt_at_end() -> None:
        sys.stdin.buffer.read()
        signal.pthread_kill(main_thread, signal.SIGINT)

    threading.Thread(target=interrupt_at_end, daemon=True).start()
    return run


if __name__ == "__main__":
    sys.exit(main())
