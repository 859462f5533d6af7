"""The promise of waiting for another process's download: it is said, once, and what the other one got is used."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from gt_runner.fetch import alone as locks
from gt_runner.fetch.alone import alone
from gt_runner.fetch.folders import Folders
from gt_runner.fetch.inputs import _Cached, _checked
from gt_runner.fetch.prepare import prepare
from gt_runner.tasks import FetchTask

HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
URL = "http://127.0.0.1:9/a/cat.png"  # where nobody answers
WAITING = "another process is {}; waiting for it"


@contextmanager
def held(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the lock, until its input ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other


def release_later(other: subprocess.Popen[str], seconds: float) -> None:
    assert other.stdin is not None
    threading.Timer(seconds, other.stdin.close).start()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.2)


def test_a_wait_is_said_once_and_a_short_one_not_at_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seconds, said in ((0.0, []), (0.8, [WAITING.format("fetching a/b")])):
        caplog.clear()
        with held(tmp_path / "x.lock") as other:
            release_later(other, seconds)
            began = time.monotonic()
            with alone(tmp_path / "x.lock", "fetching a/b"):
                assert time.monotonic() - began >= seconds
        assert caplog.messages == said


def test_a_lock_is_given_back_also_where_the_work_fails(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"), alone(tmp_path / "x.lock", "fetching a/b"):
            raise ValueError("broken")


def test_whoever_reads_the_events_of_a_fetch_phase_is_told_of_a_wait(tmp_path: Path) -> None:
    folders = Folders(cache=tmp_path / "cache", local=None)
    lock = _Cached(URL, _checked(URL), folders.cache / "inputs", cast(Any, None))._record.with_suffix(".lock")
    case = {
        "id": "a",
        "source": "smoke",
        "model": {"tiny": "FluxPipeline"},
        "base": str(tmp_path),
        "runtime": {},
        "inputs": [{"url": URL, "sha256": "0" * 64}],
        "call": {},
    }
    task = {
        "job": {"name": "j", "source": "smoke", "device": "cpu", "cases": [case]},
        "store": str(tmp_path / "store"),
        "cache": str(folders.cache),
        "models": None,
        "fresh": False,
        "nonce": None,
    }
    events: list[Any] = []
    with held(lock) as other:
        release_later(other, 0.8)
        prepare(cast(FetchTask, task), events.append)
    notice = {"event": "notice", "text": WAITING.format("fetching input http://127.0.0.1/a/cat.png")}
    assert [event for event in events if event["event"] == "notice"] == [notice]
    assert events[-1]["event"] == "failed"
