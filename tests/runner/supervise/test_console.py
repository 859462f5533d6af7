"""What the runner tells people where there is no terminal: in GitHub's log, each job's lines are one group."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gt_runner.__main__ import Reporter
from gt_runner.supervise import console

JOBS: Any = [{"name": "first", "cases": [{"id": "a"}, {"id": "b"}]}, {"name": "second", "cases": [{"id": "c"}]}]
EVENTS: list[Any] = [
    {"event": "phase", "case": "a", "phase": "load"},
    {"event": "phase", "case": "c", "phase": "load"},
    {"event": "notice", "text": "GPU 2 is busy"},
    {"event": "done", "case": "c", "record": {"seconds": {"load": 1.0}}},
    {"event": "skipped", "case": "a", "reason": "late"},
    {"event": "ready", "case": "b", "key": "", "fetched": {}, "seconds": 1.0},
    {"event": "failed", "case": "b", "phase": "load", "reason": "no memory"},
]


@pytest.fixture
def groups() -> console.Groups:
    return console.Groups(JOBS)


def test_each_job_has_one_group_whatever_others_say_meanwhile(
    groups: console.Groups, capsys: pytest.CaptureFixture[str]
) -> None:
    for event in EVENTS:
        groups.show(event)
    assert capsys.readouterr().err.splitlines() == [
        *("::group::first", "a: load", "GPU 2 is busy", "a: skipped: late", "b: failed in load: no memory"),
        *("::endgroup::", "::group::second", "c: load", "c: ok in 1.0 s", "::endgroup::"),
    ]
    groups.close()
    assert capsys.readouterr().err == ""


def test_what_a_job_says_is_seen_at_once_while_it_is_shown(
    groups: console.Groups, capsys: pytest.CaptureFixture[str]
) -> None:
    groups.show(EVENTS[0])
    assert capsys.readouterr().err == "::group::first\na: load\n"


def test_a_run_that_breaks_off_keeps_no_line_back(groups: console.Groups, capsys: pytest.CaptureFixture[str]) -> None:
    for event in EVENTS[:2]:
        groups.show(event)
    groups.close()
    told = ["::group::first", "a: load", "::endgroup::", "::group::second", "c: load", "::endgroup::"]
    assert capsys.readouterr().err.splitlines() == told


@pytest.mark.parametrize(
    ("on_github", "told"), [("true", ["::group::first", "a: load", "::endgroup::"]), ("", ["a: load"])]
)
def test_there_are_groups_in_githubs_log_alone(
    on_github: str,
    told: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", on_github)
    at_the_end: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_the_end.append)
    run: Any = {"store": str(tmp_path), "jobs": JOBS}
    Reporter(run, tmp_path / "events").emit(EVENTS[0])
    for close in at_the_end:
        close()
    assert capsys.readouterr().err.splitlines() == told
