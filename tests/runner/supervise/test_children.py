"""A child process of the runner, however it ends: its events end with it, and nothing of it is left or mistaken."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gt_runner.supervise import process
from gt_runner.supervise.process import Child

ASK = 'os.write(fd, b\'{"event": "ask"}\\n\')'

Start = Callable[[str], Child]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a child that runs this code in place of a step; `fd` is where its events go."""
    children = []

    def started(code: str) -> Child:
        script = tmp_path / "python"
        read = "fd = int(sys.argv[sys.argv.index('--events') + 1])"
        script.write_text(f"#!{sys.executable} -S\nimport os, sys, time, signal\n{read}\n{code}\n")
        script.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(script))
            children.append(Child("work", os.environ, tmp_path / "log"))
        return children[-1]

    yield started
    for child in children:
        child.end()


def within(seconds: float) -> Callable[[], float]:
    deadline = time.monotonic() + seconds
    return lambda: deadline


def running(group: int) -> list[str]:
    """The processes of a group; one that has ended and waits for somebody to ask for its status does not count."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, leader = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            found += [stat.parent.name] if int(leader) == group and state != "Z" else []
    return found


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ('os.write(fd, b\'{"event": "done", "rec\'); os.kill(os.getpid(), signal.SIGKILL)', -signal.SIGKILL),
        ("os.write(fd, b'Segmentation fault\\n[1]\\n{}\\n\\xff\\n'); os._exit(7)", 7),
        ("if os.fork() == 0: time.sleep(60)\nos._exit(7)", 7),  # the fork holds the pipe of the events
        ("os.close(fd); time.sleep(0.5)", 0),
    ],
    ids=["killed within an event", "writes what is no event", "leaves a fork", "closes its events first"],
)
def test_the_events_of_a_child_end_with_it(start: Start, code: str, status: int) -> None:
    child = start(f"{ASK}\n{code}")
    assert [event["event"] for event in child.events(within(10))] == ["ask"]
    assert child.process.returncode == status
    assert running(child.process.pid) == []


def test_an_event_after_what_is_none_counts(start: Start) -> None:
    child = start(f"os.write(fd, b'not JSON\\n')\n{ASK}")
    assert [event["event"] for event in child.events(within(10))] == ["ask"]


def test_a_child_that_no_signal_reaches_does_not_keep_a_run_from_its_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that hangs in a driver."""
    child = start("time.sleep(60)")
    with monkeypatch.context() as patch:
        patch.setattr(process, "GRACE", 0.1)
        patch.setattr(os, "killpg", lambda *_: None)
        child.end()
    assert not child.over


def test_the_number_of_a_child_that_has_ended_is_sent_no_signal(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be another process's by then."""
    child = start(ASK)
    assert len(list(child.events(within(10)))) == 1
    sent: list[object] = []
    monkeypatch.setattr(os, "killpg", lambda *signals: sent.append(signals))
    child.end()
    child.send("late")
    assert sent == []
