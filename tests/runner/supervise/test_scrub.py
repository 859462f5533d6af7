"""The end of a log, as a manifest has it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from gt_runner.supervise.scrub import LOG_BYTES, LOG_LINES, log_end

HIDDEN = [("hf_secret", "***")]


@pytest.mark.parametrize("before", [0, 100 * LOG_BYTES], ids=["short", "large"])
def test_the_last_lines_of_a_log_are_taken_however_large_it_is(tmp_path: Path, before: int) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(before)
        file.seek(before)
        file.write(b"".join(b"\nhf_secret %d" % number for number in range(100)))
    tracemalloc.start()
    lines = log_end(log, HIDDEN)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines == [f"*** {number}" for number in range(100 - LOG_LINES, 100)]
    assert most < 20 * LOG_BYTES


def test_of_a_secret_that_the_cut_goes_through_nothing_is_left(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("the token is hf_secret\n" + "x" * (LOG_BYTES - 8) + "\n")  # the cut is within the secret
    assert log_end(log, HIDDEN) == ["x" * (LOG_BYTES - 8)]
    assert log_end(tmp_path / "none", HIDDEN) == []
