"""What a call takes over of earlier ones, and what it knows of the cluster's machines."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ci.plan.host import Host
from ci.run.on_slurm import generate, task, waiting
from ci.run.on_slurm.sending import holds

SEEN: dict[str, Any] = {"kind": "h100", "gpus": 1, "memory_gb": 80.0, "gpu_name": "NVIDIA H100", "multiprocessors": 132}


def request(*cases: str, **run: Any) -> dict[str, Any]:
    job = {"name": "job", "cases": [{"id": name} for name in cases]}
    return {"gpu": "h100", "gpus": 1, "run": {"jobs": [job], "fresh": False, "nonce": None, "previous": None, **run}}


@pytest.mark.parametrize(
    ("task_request", "is_taken"),
    [
        (request("a"), True),
        (request("a", "b"), True),
        (request("a", nonce="x", since="2026-01-01"), True),  # it makes the case again: whoever needs it needs that one
        (request("b"), False),
        (request("a", previous="/earlier"), False),
        ({**request("a"), "gpu": "h200"}, False),
        (request("a", nonce="x", deliver="/first"), False),  # one half of a double run
    ],
)
def test_a_task_is_waited_for_that_makes_what_is_wanted(task_request: dict[str, Any], is_taken: bool) -> None:
    assert holds(task_request, request("a")) is is_taken


@pytest.mark.parametrize("content", ["", "[]", "{", '{"kind": "h100"}', json.dumps({**SEEN, "name_of_later": 1})])
def test_a_machine_that_another_version_wrote_down_is_read_or_passed_over(tmp_path: Path, content: str) -> None:
    file = tmp_path / "machine.json"
    file.write_text(content)
    assert task.remembered(file) == (Host(**SEEN) if "multiprocessors" in content else None)


def test_a_machine_is_not_written_down_where_the_cache_is_somebody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "machines"
    folder.write_text("")  # nothing can be written below it
    task._remember(folder / "h100", SEEN)
    task._remember(tmp_path / "h100", SEEN)
    (file,) = (tmp_path / "h100").iterdir()
    assert task.remembered(file) == Host(**SEEN)


def test_a_result_that_a_shared_file_system_shows_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LATE_S", 5.0)
    monkeypatch.setattr(time, "sleep", lambda _: (tmp_path / "late").mkdir(exist_ok=True))
    assert generate._unseen({"one": tmp_path / "late"}) == []
    monkeypatch.setattr(waiting, "LATE_S", 0.0)
    assert generate._unseen({"one": tmp_path / "late", "two": tmp_path / "never"}) == ["two"]
