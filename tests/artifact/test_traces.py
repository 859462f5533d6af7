"""The folder of traces: what a run forgets, what it refuses, and how folders become one."""

from __future__ import annotations

import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ci.artifact import traces
from ci.errors import ArtifactError


def write(folder: Path, *cases: str) -> None:
    folder.mkdir(exist_ok=True)
    for case in cases:
        (folder / f"{case}.safetensors").write_bytes(b"tensors")
    entries = {case: {"file": f"{case}.safetensors", "stages": {}} for case in cases}
    (folder / traces.NAME).write_text(json.dumps({"schema_version": 1, "cases": entries}))


def test_a_run_forgets_the_earlier_traces_of_its_own_cases_and_keeps_the_others(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    traces.begin(tmp_path, ["a", "new"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.safetensors", "trace.json"]
    assert list(json.loads((tmp_path / traces.NAME).read_text())["cases"]) == ["b"]


def test_what_another_run_adds_meanwhile_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)  # as gt_trace does, to add a case
    with ThreadPoolExecutor() as pool:
        beginning = pool.submit(traces.begin, tmp_path, ["a"])
        with pytest.raises(TimeoutError):
            beginning.result(timeout=0.3)
        write(tmp_path, "a", "b", "theirs")
        os.close(other)
        beginning.result(timeout=60)
    assert list(json.loads((tmp_path / traces.NAME).read_text())["cases"]) == ["b", "theirs"]


def test_an_artifact_is_no_place_for_traces(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="traces are no part of"):
        traces.begin(tmp_path, [])
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        '{"cases": []}',
        '{"cases": {"a": 1}}',
        '{"cases": {"a": {}}}',
        '{"cases": {"a": {"file": "../x"}}}',
    ],
)
def test_what_is_no_index_of_traces_is_refused_and_left_as_it_is(text: str, tmp_path: Path) -> None:
    (tmp_path / traces.NAME).write_text(text)
    with pytest.raises(ArtifactError, match=r"trace\.json"):
        traces.begin(tmp_path, ["a"])
    assert (tmp_path / traces.NAME).read_text() == text


def test_the_indexes_of_several_jobs_become_one() -> None:
    job = {"schema_version": 1, "producer": {"name": "diffusion-gt", "version": "1"}}
    whole = traces.merged([{**job, "cases": {"a": 1}}, {**job, "cases": {"b": 2}}])
    assert whole == {**job, "cases": {"a": 1, "b": 2}}
    assert traces.merged([]) == {"schema_version": 1, "cases": {}}
