"""The bench of several models: what it makes of the events of a run, and what follows from the runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from bench import random_weights, several, subject
from bench.machine import machine
from bench.report import Order, Report, Run, at_once
from bench.spans import Span, floor, timeline
from bench.timeline import draw, read
from ci.catalogue import files
from ci.plan.host import Host


def phase(at: float, case: str, name: str, card: str) -> tuple[float, dict[str, Any]]:
    return at, {"event": "phase", "case": case, "phase": name, "card": card}


# Two GPUs: each loads with the first case in mind; the second one is given another case. The first one's last case has
# the next model loaded beside it.
EVENTS = [
    phase(5, "one", "load", "0"),
    phase(5, "one", "load", "1"),
    (7, {"event": "loaded", "case": "one", "card": "0"}),
    phase(7, "one", "generate", "0"),
    (8, {"event": "loaded", "case": "one", "card": "1"}),
    phase(8, "two", "generate", "1"),
    (9, {"event": "step", "case": "one", "done": 1, "total": 2}),
    phase(17, "one", "save", "0"),
    phase(17, "three", "generate", "0"),
    phase(18, "next", "load", "0"),
    (18, {"event": "done", "case": "one"}),
    (18, {"event": "failed", "case": "two", "phase": "generate", "reason": "…"}),
    (20, {"event": "loaded", "case": "next", "card": "0"}),
    phase(27, "three", "save", "0"),
    (28, {"event": "done", "case": "three"}),
]


def test_each_gpus_row_has_its_loads_calls_and_saving() -> None:
    run = timeline(30.0, EVENTS, [(1.0, 0, 0.0, 4), (8.0, 0, 98.0, 4000)])
    assert run.cards == ["0", "1"]
    calls = {(span.case, span.card): (span.start, span.end) for span in run.spans if span.phase == "generate"}
    assert calls == {("one", "0"): (7, 17), ("two", "1"): (8, 18), ("three", "0"): (17, 27)}
    assert Span("0", "one", "save", 17, 18) in run.spans
    loads = {(span.case, span.card): (span.start, span.end) for span in run.spans if span.phase == "load"}
    assert loads == {("one", "0"): (5, 7), ("one", "1"): (5, 8), ("next", "0"): (18, 20)}
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
    assert (read_bound.first_read, read_bound.other_reads, read_bound.seconds) == (5, 45, 5 + 45 / 2)
    assert call_bound.seconds == 5 + 30 / 2


def test_the_picture_has_a_row_for_each_gpu(tmp_path: Path) -> None:
    run = {"error": "", "wall": 30.0, "events": EVENTS, "samples": [(float(at), 0, 50.0, 1) for at in range(30)]}
    runs = [{"name": "two GPUs", **run}, {"name": "the same", **run}, {"name": "bad", "error": "ended with 2"}]
    (tmp_path / "several.json").write_text(json.dumps({"runs": runs}))
    measured = read(tmp_path / "several.json")
    assert list(measured) == ["two GPUs", "the same"]
    for name in ("runs.png", "runs.svg", "again.svg"):
        draw(measured, tmp_path / name)
    with Image.open(tmp_path / "runs.png") as image:
        assert image.width > 1000
    picture = (tmp_path / "runs.svg").read_text()
    assert [picture.count(f"{name}, GPU {card}") for name in measured for card in "01"] == [1] * 4
    assert picture == (tmp_path / "again.svg").read_text()


def test_kernels_are_what_the_driver_saw_between_a_cards_first_call_and_its_last() -> None:
    run = timeline(30.0, EVENTS, [(1.0, 0, 0.0, 4), (8.0, 0, 90.0, 4), (20.0, 0, 100.0, 4), (29.0, 0, 0.0, 4)])
    assert run.kernels("0") == pytest.approx(0.95)
    assert run.kernels("1") is None


def test_the_models_have_so_many_cases_each_and_the_larger_ones_take_longer(tmp_path: Path) -> None:
    sizes = [34 * 10**9, 20 * 10**9, 10 * 10**9]
    flux = subject.ARCHITECTURES["flux1"]
    known = files.load(several.write_cases(tmp_path, flux, sizes, 3, 7)).cases.values()
    assert len(known) == 9
    models = [case.model for case in known]
    assert {name: models.count(name) for name in models} == {f"random/model-{number}": 3 for number in range(3)}
    minutes = {case.model: case.spec.needs.minutes for case in known}
    assert sorted(minutes, key=lambda name: -minutes[name]) == sorted(minutes)
    assert {case.data()["call"]["num_inference_steps"] for case in known} == {7}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("six:warm:1", "six, warm, 1 GPU"),
        ("four:taken:2:10", "four, taken, 2 GPUs, 10 steps"),
        ("six:cold:0", "six, cold, CPU"),
    ],
)
def test_a_run_is_named_by_set_state_gpus_and_steps(text: str, name: str) -> None:
    assert Order.parse(text).name == name


def test_runs_that_are_joined_are_made_at_once() -> None:
    assert [order.name for order in at_once("four:warm:1+six:warm:1")] == ["four, warm, 1 GPU", "six, warm, 1 GPU"]


@pytest.mark.parametrize("text", ["six", "six:hot:1", "seven:warm:1", "six:warm:one", "six:warm:1:2:3"])
def test_what_is_no_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Order.parse(text)


@pytest.mark.parametrize(
    ("text", "gpus", "odd"),
    [
        ("six:warm:2", 2, ""),
        ("six:warm:1+four:warm:1", 2, ""),
        ("six:warm:0", 0, ""),
        ("six:warm:2", 1, "six, warm, 2 GPUs"),
        ("six:warm:1", 0, "six, warm, 1 GPU"),
        ("six:warm:0", 2, "six, warm, CPU"),
        ("six:warm:1+four:warm:2", 2, "six, warm, 1 GPU + four, warm, 2 GPUs"),
    ],
)
def test_a_run_on_more_gpus_than_there_are_is_none(text: str, gpus: int, odd: str) -> None:
    assert several.beyond([at_once(text)], gpus) == odd


def test_ratios_and_same_bytes_follow_from_the_runs(tmp_path: Path) -> None:
    report = Report("2026-01-01", machine(Host("cpu"), "cpu"), "tiny")
    files = {"a.jpg": "00"}
    runs = [("warm", 1, 60.0, files), ("warm", 2, 30.0, files), ("taken", 2, 50.0, {}), ("again", 2, 1.0, files)]
    report.runs = [
        Run(Order("six", state, gpus).name, "six", state, gpus, 50, wall=wall, files=made)
        for state, gpus, wall, made in runs
    ]
    report.runs[2].failed = {"a": "out of GPU memory"}
    report.write(tmp_path)
    said = json.loads((tmp_path / "several.json").read_text())
    assert (said["ratios"], said["same_bytes"]) == ({"six, warm, 2 GPUs": 0.5}, {"six, 50 steps": True})
    report.runs[1].files = {"a.jpg": "01"}
    report.write(tmp_path)
    assert json.loads((tmp_path / "several.json").read_text())["same_bytes"] == {"six, 50 steps": False}


def test_random_weights_are_written_as_safetensors_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_weights, "PIECE", 1000)
    tensors = {"b": torch.randn(50, 33).to(torch.bfloat16), "a": torch.randn(7), "scalar": torch.tensor(2.0)}
    random_weights.write(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    read_back = load_file(tmp_path / "model.safetensors")
    assert read_back.keys() == tensors.keys()
    assert all(
        torch.equal(tensors[name], each) and each.dtype == tensors[name].dtype for name, each in read_back.items()
    )
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
