"""The end of a task's log, as the reason of a failed case has it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from ci.run.on_slurm.tasks import LOG, LOG_BYTES, Task
from gt_runner.supervise import scrub

HIDDEN = {"/data/cache": "<cache>", "/data/cache/store": "<store>", "/data": "<data>"}


@pytest.mark.parametrize("size", [0, 100 * LOG_BYTES], ids=["short", "large"])
def test_the_last_lines_are_taken_however_large_the_log_is(tmp_path: Path, size: int) -> None:
    with (tmp_path / "0.log").open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b"".join(b"\n \n/data/cache/store/%d \xff" % number for number in range(100)))
    tracemalloc.start()
    lines = Task(tmp_path, 0, "1", ["a"]).log_end(HIDDEN)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines == [f"<store>/{number} \N{REPLACEMENT CHARACTER}" for number in range(100 - LOG, 100)]
    assert peak < 20 * LOG_BYTES


def test_of_a_path_that_the_cut_goes_through_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "0.log").write_text("it is in /data/cache\n" + "x" * (LOG_BYTES - 8) + "\n")  # the cut is in the path
    assert Task(tmp_path, 0, "1", ["a"]).log_end(HIDDEN) == ["x" * (LOG_BYTES - 8)]
    assert Task(tmp_path, 1, "1", ["a"]).log_end(HIDDEN) == []  # it wrote none


def test_as_much_of_a_log_is_read_as_by_the_runner() -> None:
    assert LOG_BYTES == scrub.LOG_BYTES
