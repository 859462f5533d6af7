"""A run that is told to end by several at once: by Slurm, which signals all processes, and by what has started it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.support.runs import Runner, faulty_case, outcomes


def test_signals_that_come_while_a_run_ends_are_passed_over(tmp_path: Path) -> None:
    runner, flag = Runner(tmp_path), tmp_path / "flag"
    process = runner.start(runner.spec([faulty_case("one", "flag", flag=str(flag)), faulty_case("two")]))
    while not flag.exists():
        time.sleep(0.05)
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(sign)
        time.sleep(0.01)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False), err
    assert {name: end["event"] for name, end in outcomes(out).items()} == {"one": "skipped", "two": "skipped"}
