"""The promise of the runner's process: however early it is stopped, it ends in order."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ci.run import runner


@pytest.mark.parametrize("size", [10, 1_000_000])  # a pipe holds 65,536 bytes: the larger one is still being written
def test_ctrl_c_before_the_runner_has_read_its_run_ends_it_in_order(tmp_path: Path, size: int) -> None:
    skipped = {"event": "skipped", "case": "a", "reason": "interrupted"}
    program = tmp_path / "runner"
    program.write_text(f"#!/bin/sh\nkill -INT {os.getpid()}\nsleep 0.3\ncat >/dev/null\necho '{json.dumps(skipped)}'\n")
    program.chmod(0o755)
    with runner.events_of({"jobs": "x" * size}, quiet=True, within=[str(program)]) as events:
        assert list(events) == [skipped]
