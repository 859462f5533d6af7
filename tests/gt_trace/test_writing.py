"""The writer of traces, which people copy: what it takes, and what it leaves as it was."""

from __future__ import annotations

import copy
import errno
import fcntl
import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file

from gt_trace import CaseTrace, Trace
from tests.conftest import ROOT

WRITER = ROOT / "containers" / "runner" / "gt_trace.py"


def euler(steps: int = 4) -> Any:
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(steps)
    return scheduler


def loop(scheduler: Any, latents: torch.Tensor) -> torch.Tensor:
    for timestep in scheduler.timesteps:
        latents = scheduler.step(latents * 0.5, timestep, latents, return_dict=False)[0]
    return latents


def read(folder: Path, name: str = "a") -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    entry = json.loads((folder / "trace.json").read_text())["cases"][name]
    file = folder / entry["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
    return entry, load_file(file)


def test_ranks_that_write_one_case_at_once_leave_a_whole_trace_of_one_of_them(tmp_path: Path) -> None:
    def write(rank: int) -> None:
        with Trace(tmp_path, name="me", version="1").case("a") as trace:
            trace.add("noise", torch.full((300, 300 + rank), float(rank)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(60)))
    _, tensors = read(tmp_path)
    rank = tensors["noise"].shape[1] - 300
    assert (tensors["noise"] == rank).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "trace.json"]


def test_a_loop_gives_its_schedule_each_step_and_its_end(tmp_path: Path) -> None:
    noise = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(1)).bfloat16()
    scheduler = euler()
    with Trace(tmp_path, name="me", version="1").case("a") as trace, trace.steps(scheduler, layout="packed"):
        end = loop(scheduler, noise.clone())
    entry, tensors = read(tmp_path)
    steps = [f"{stage}.{step}" for step in range(4) for stage in ("latents", "model_output")]
    assert list(entry["stages"]) == ["timesteps", "sigmas", *steps, "latents.final"]
    assert entry["steps"] == 4
    assert torch.equal(tensors["latents.0"], noise)
    assert torch.equal(tensors["latents.final"], end)
    assert tensors["sigmas"].shape == (5,)
    first = entry["stages"]["latents.0"]
    assert (first["shape"], first["dtype"], first["layout"]) == ([1, 6, 8], "bfloat16", "packed")
    assert first["sha256"] == hashlib.sha256(noise.view(torch.uint8).numpy().tobytes()).hexdigest()
    values = noise.double()
    assert first["mean"] == pytest.approx(float(values.mean()))
    assert first["std"] == pytest.approx(float(values.std(correction=0)))
    assert (first["min"], first["max"]) == (float(values.min()), float(values.max()))


def test_a_traced_loop_ends_in_the_same_bits_and_leaves_the_scheduler_as_it_was(tmp_path: Path) -> None:
    noise = torch.randn(1, 6, 8)
    official = FlowMatchEulerDiscreteScheduler.step
    untraced, scheduler = loop(euler(), noise.clone()), euler()
    with Trace(tmp_path, name="me", version="1").case("a") as trace, trace.steps(scheduler):
        assert torch.equal(loop(scheduler, noise.clone()), untraced)
    assert FlowMatchEulerDiscreteScheduler.step is official


def test_a_copy_of_a_scheduler_steps_for_itself_and_is_not_traced(tmp_path: Path) -> None:
    scheduler = euler(2)
    with Trace(tmp_path, name="me", version="1").case("a") as trace, trace.steps(scheduler):
        copied = copy.deepcopy(scheduler)
        for timestep in scheduler.timesteps:
            scheduler.step(torch.ones(1), timestep, torch.ones(1))
            copied.step(torch.zeros(1), timestep, torch.zeros(1))
    assert (scheduler.step_index, copied.step_index) == (2, 2)
    assert read(tmp_path)[0]["steps"] == 2


def test_the_class_of_a_scheduler_that_is_made_later_can_be_traced(tmp_path: Path) -> None:
    official = FlowMatchEulerDiscreteScheduler.step
    with (
        Trace(tmp_path, name="me", version="1").case("a") as trace,
        trace.steps(FlowMatchEulerDiscreteScheduler),
    ):
        loop(euler(2), torch.ones(1, 2, 2))
    assert FlowMatchEulerDiscreteScheduler.step is official
    assert read(tmp_path)[0]["steps"] == 2


def test_a_second_loop_has_a_prefix(tmp_path: Path) -> None:
    with Trace(tmp_path, name="me", version="1").case("a", stages=["latents.0", "latents.final"]) as trace:
        scheduler = euler(2)
        with trace.steps(scheduler):
            first = loop(scheduler, torch.ones(1, 2, 2))
            scheduler.set_timesteps(3)
            loop(scheduler, first * 2)
    tensors = read(tmp_path)[1]
    assert set(tensors) == {"latents.0", "latents.final", "stage_2.latents.0", "stage_2.latents.final"}
    assert torch.equal(tensors["stage_2.latents.0"], first * 2)


@pytest.mark.parametrize("asked", ["stage_2.latents.final", "stage_2", "stage_*.final"])
def test_the_end_of_a_second_loop_can_be_kept_alone(tmp_path: Path, asked: str) -> None:
    with Trace(tmp_path, name="me", version="1").case("a", stages=[asked]) as trace:
        scheduler = euler(2)
        with trace.steps(scheduler):
            first = loop(scheduler, torch.ones(1, 2, 2))
            scheduler.set_timesteps(3)
            end = loop(scheduler, first * 2)
    tensors = read(tmp_path)[1]
    assert torch.equal(tensors["stage_2.latents.final"], end)
    assert not [stage for stage in tensors if not stage.startswith("stage_2.")]
    assert {"sigmas", "latents.0", "latents.1", "latents.final", *tensors} <= trace.seen.keys()  # kept or not


def test_stages_and_every_bound_what_is_kept() -> None:
    trace = CaseTrace(["prompt_embeds", "latents.*"], 2)
    wanted = ["prompt_embeds", "prompt_embeds.pooled", "latents.0", "latents.2", "stage_2.latents.4", "latents.final"]
    refused = ["latents.1", "model_output.0", "stage_2.latents.3", "negative_prompt_embeds", "decoded"]
    assert [stage for stage in wanted + refused if trace.wants(stage)] == wanted


def test_a_tensor_is_kept_as_it_was_when_it_was_added(tmp_path: Path) -> None:
    tensor = torch.zeros(2, 3)
    with Trace(tmp_path, name="me", version="1").case("a") as trace:
        trace.add("noise", tensor.T)
        tensor += 1
    assert torch.equal(read(tmp_path)[1]["noise"], torch.zeros(3, 2))


def test_values_that_json_has_no_word_for_are_null(tmp_path: Path) -> None:
    with Trace(tmp_path, name="me", version="1").case("a") as trace:
        trace.add("decoded", torch.tensor([1.0, float("nan")]))
        trace.add("noise", torch.empty(0))
        trace.add("timesteps", torch.tensor(3))
    stages = read(tmp_path)[0]["stages"]
    assert stages["decoded"]["mean"] is stages["decoded"]["max"] is stages["noise"]["min"] is None
    assert stages["timesteps"]["shape"] == []


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Trace(tmp_path, name="me", version="1").case("a") as trace:
        trace.add("noise", torch.ones(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_many_writers_of_one_folder_lose_no_case(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with Trace(tmp_path, name="me", version="1").case(f"case_{number}") as trace:
            trace.add("noise", torch.full((2,), float(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    cases = json.loads((tmp_path / "trace.json").read_text())["cases"]
    assert sorted(cases) == sorted(f"case_{number}" for number in range(24))
    assert not list(tmp_path.glob("*.part"))


def test_a_file_system_that_locks_no_folder_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # as NFS says it

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Trace(tmp_path, name="me", version="1").case("a") as trace:
        trace.add("noise", torch.ones(3))
    assert list(read(tmp_path)[1]) == ["noise"]


def test_a_copy_of_the_file_needs_nothing_but_torch_and_safetensors(tmp_path: Path) -> None:
    (tmp_path / "gt_trace.py").write_bytes(WRITER.read_bytes())
    script = (
        "import sys, gt_trace, torch\n"
        "with gt_trace.Trace('t', name='me', version='1').case('a') as trace:\n"
        "    trace.add('noise', torch.ones(2, dtype=torch.bfloat16))\n"
        "print([name for name in sys.modules if name.startswith(('gt_r', 'gt_j', 'diffusers', 'transformers'))])\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
    assert read(tmp_path / "t")[0]["stages"]["noise"]["dtype"] == "bfloat16"
