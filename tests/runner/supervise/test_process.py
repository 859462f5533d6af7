"""A step in a process of its own: how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ci import RUNNER


def test_a_run_ends_with_its_own_status_while_its_input_is_still_open(tmp_path: Path) -> None:
    store = {"store": str(tmp_path), "cache": str(tmp_path), "models": None, "previous": None}
    run: dict[str, object] = {"jobs": [], "fresh": False, "nonce": None, **store}
    process = subprocess.Popen(
        [sys.executable, "-m", "gt_runner", "run", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(RUNNER)},
        text=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    with process.stdin, process.stderr:
        process.stdin.write(json.dumps(run) + "\n")
        process.stdin.flush()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
