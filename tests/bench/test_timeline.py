"""The bench's timeline: what it makes of the events of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import several, subject
from bench.timeline import Span, draw, floor, timeline
from ci.catalogue import files


def phase(at: float, case: str, name: str, card: str) -> tuple[float, dict[str, Any]]:
    return at, {"event": "phase", "case": case, "phase": name, "card": card}


# Two GPUs: each loads with the first case in mind; the second one is given another case.
EVENTS = [
    phase(5, "one", "load", "0"),
    phase(5, "one", "load", "1"),
    phase(7, "one", "generate", "0"),
    phase(8, "two", "generate", "1"),
    (9, {"event": "step", "case": "one", "done": 1, "total": 2}),
    phase(17, "one", "save", "0"),
    phase(17, "three", "generate", "0"),
    (18, {"event": "done", "case": "one"}),
    (18, {"event": "failed", "case": "two", "phase": "generate", "reason": "…"}),
    phase(27, "three", "save", "0"),
    (28, {"event": "done", "case": "three"}),
]


def test_each_gpus_row_has_its_loads_calls_and_saving() -> None:
    run = timeline(30.0, EVENTS, [(1.0, 0, 0.0, 4), (8.0, 0, 98.0, 4000)])
    assert run.cards == ["0", "1"]
    calls = {(span.case, span.card): (span.start, span.end) for span in run.spans if span.phase == "generate"}
    assert calls == {("one", "0"): (7, 17), ("two", "1"): (8, 18), ("three", "0"): (17, 27)}
    assert Span("0", "one", "save", 17, 18) in run.spans
    assert run.seconds("generate") == 30
    assert run.samples == {"0": [(1.0, 0.0), (8.0, 98.0)]}


def test_busy_is_the_share_of_calls_between_the_first_and_the_last() -> None:
    gap = [phase(0, "a", "generate", "0"), phase(6, "a", "save", "0"), phase(10, "b", "generate", "0")]
    run = timeline(20.0, [*gap, phase(14, "b", "save", "0")])
    assert run.busy("0") == pytest.approx(10 / 14)
    assert run.busy("7") == 0


def test_the_floor_is_the_first_read_and_then_the_longer_of_reads_and_calls() -> None:
    run = timeline(30.0, EVENTS)
    read_bound, call_bound = floor(run, [10, 40, 50], rate=2), floor(run, [10, 4], rate=2)
    assert (read_bound.first_read, read_bound.other_reads, read_bound.seconds) == (5, 45, 50)
    assert call_bound.seconds == 5 + 30 / 2


def test_the_picture_has_a_row_for_each_gpu(tmp_path: Path) -> None:
    run = timeline(30.0, EVENTS, [(float(at), 0, 50.0, 1) for at in range(30)])
    draw({"two GPUs": run, "the same": run}, tmp_path / "runs.png")
    with Image.open(tmp_path / "runs.png") as image:
        assert image.width > 1000


def test_several_models_have_so_many_cases_each_and_models_of_their_own(tmp_path: Path) -> None:
    known = files.load(several.cases(tmp_path, subject.ARCHITECTURES["flux1"], models=4, count=3)).cases.values()
    assert len(known) == 12
    models = [case.model for case in known]
    assert sorted(set(models)) == [f"random/model-{number}" for number in range(4)]
    assert {models.count(model) for model in models} == {3}


def test_a_runs_figures_are_its_wall_over_the_floor_and_the_bytes_of_its_files(tmp_path: Path) -> None:
    manifest = {"cases": {"one": {"files": [{"name": "one.png", "sha256": "00"}]}, "bad": {"files": []}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    figure = several.figure("warm", timeline(30.0, EVENTS), [10, 4], 2.0, tmp_path)
    assert (figure.floor, figure.over_floor, figure.files) == (20.0, 1.5, {"one.png": "00"})
    assert figure.busy == {"0": 1.0, "1": 1.0}
