"""The bench: its cases, its arithmetic and the shape of what it writes. The figures themselves are not tested."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import generation, planning, process, subject
from bench.__main__ import Report, write
from bench.generation import Generation, SecondRun
from bench.machine import Machine
from bench.reading import Reading
from bench.runs import Run
from ci.catalogue import files

READING = Reading(weights_bytes=10_000_000_000, cold_seconds=5.0, warm_seconds=1.0, cold_gb_s=2.0, warm_gb_s=10.0)
BARE = Run(
    wall_seconds=100.0,
    start_seconds=None,
    imports_seconds=10.0,
    load_seconds=[8.0],
    call_seconds=[40.0, 40.0],
    own_seconds=12.0,
    cpu_seconds=100.0,
    busy=1.0,
    made=2,
    images=["a", "b"],
)
RUNNER = replace(BARE, wall_seconds=103.0, imports_seconds=None, call_seconds=[41.0, 41.0], own_seconds=13.0)


def test_planning_takes_every_case_through_at_every_size(tmp_path: Path) -> None:
    measured = planning.measure(tmp_path, plan_sizes=(20, 200), parse_sizes=(10, 50))
    assert measured.plan.cases == [20, 200]
    assert measured.parse.cases == [10, 50]
    assert all(seconds > 0 for seconds in [*measured.plan.seconds, *measured.parse.seconds])


def test_planned_cases_are_spread_over_models_and_gpu_kinds() -> None:
    bodies = planning.bodies(40).values()
    assert len({body["model"]["repo"] for body in bodies}) == 40 / planning.CASES_PER_MODEL
    assert len({body["needs"]["gpu"] for body in bodies}) > 3


@pytest.mark.parametrize(("seconds", "exponent"), [([1.0, 10.0, 100.0], 1.0), ([1.0, 100.0, 10_000.0], 2.0)])
def test_growth_is_the_power_of_the_number_of_cases(seconds: list[float], exponent: float) -> None:
    assert planning.growth((10, 100, 1000), seconds).exponent == pytest.approx(exponent)


@pytest.mark.parametrize("architecture", subject.ARCHITECTURES.values(), ids=lambda each: each.name)
def test_the_cases_are_the_official_one_under_other_seeds(architecture: subject.Architecture, tmp_path: Path) -> None:
    official = files.load().cases[subject.OFFICIAL].data()
    known = files.load(subject.write_cases(tmp_path, subject.derived(architecture))).cases
    calls = [case.data()["call"] for case in known.values()]
    assert len({call["seed"] for call in calls}) == architecture.cases
    assert calls[0] == official["call"]
    assert [{**call, "seed": 0} for call in calls] == [{**official["call"], "seed": 0}] * architecture.cases


def test_the_overhead_is_what_the_runner_takes_on_top_of_the_bare_pipeline() -> None:
    overhead = generation.compare(BARE, RUNNER, READING, "cold").overhead
    assert overhead.wall == pytest.approx(0.03)
    assert overhead.wall_without_imports == pytest.approx(103 / 88 - 1, abs=1e-4)
    assert overhead.own_clock == pytest.approx(0.01)


@pytest.mark.parametrize(("calls", "weights", "floor"), [([2.0, 2.0], "cold", 5.0), ([2.0, 2.0], "warm", 4.0)])
def test_the_floor_is_the_larger_of_reading_and_calling(calls: list[float], weights: str, floor: float) -> None:
    measured = generation.compare(BARE, replace(RUNNER, call_seconds=calls), READING, weights)
    assert measured.floor_seconds == floor
    assert measured.over_floor == pytest.approx(103 / floor)


def test_a_process_per_case_is_compared_by_the_time_that_a_case_takes() -> None:
    each = replace(RUNNER, wall_seconds=206.0, made=1)
    assert generation.per_case(each, RUNNER).over_grouped == pytest.approx(4.0)


def test_some_of_the_cases_are_the_first_ones_with_as_many_steps_as_asked_for(tmp_path: Path) -> None:
    bodies = subject.derived(subject.ARCHITECTURES["tiny"])
    measured = subject.Subject(bodies, tmp_path, tmp_path, "any", "cpu", tmp_path)
    whole, short = measured.some(3), measured.some(1, steps=1)
    assert [case.data()["call"] for case in files.load(whole).cases.values()] == [
        body["call"] for body in [*bodies.values()][:3]
    ]
    [case] = files.load(short).cases.values()
    assert case.data()["call"] == next(iter(bodies.values()))["call"] | {"num_inference_steps": 1}


def test_images_that_differ_are_not_called_the_same() -> None:
    assert generation.compare(BARE, RUNNER, READING, "cold").same_images
    assert not generation.compare(BARE, replace(RUNNER, images=["a", "c"]), READING, "cold").same_images


def test_a_command_that_fails_is_no_figure_but_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(process.BenchError, match=r"ended with 3:\nthe reason"):
        process.run([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path / "log")


def test_the_report_is_written_as_json_and_drawn(tmp_path: Path) -> None:
    rounds = [generation.compare(BARE, RUNNER, READING, weights) for weights in ("cold", "warm")]
    measured = Generation(
        READING,
        RUNNER,
        rounds,
        generation.per_case(RUNNER, RUNNER),
        SecondRun(1.0, 0),
        generation.load_rates(10**10, rounds),
    )
    growth = planning.growth((1, 10), (0.1, 1.0))
    machine = Machine(None, 0, "cpu", 2, "3.11", "2.11", "0.42")
    write(Report("2025-01-01", machine, "tiny", 2, 50, measured, planning.Planning(growth, growth)), tmp_path)
    said = json.loads((tmp_path / "bench.json").read_text())
    assert said.keys() == {"date", "machine", "architecture", "cases", "steps", "generation", "planning"}
    assert said["generation"]["second_run"] == {"wall_seconds": 1.0, "made": 0}
    assert said["generation"]["load_rates"]["runner_cold"] == 1.25
    assert said["planning"]["plan"] == {"cases": [1, 10], "seconds": [0.1, 1.0], "exponent": 1.0}
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
