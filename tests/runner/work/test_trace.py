"""Traces of every official Diffusers class, in one process: the same image bytes, and the stages by their names.

The weights are tiny and random, the cases smaller (`tests/support/official.py`).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.qwenimage import (
    pipeline_qwenimage_edit,
    pipeline_qwenimage_edit_plus,
    pipeline_qwenimage_layered,
)
from safetensors.torch import load_file, save_file

from ci.catalogue import files as catalogue
from gt_runner.errors import SourceError
from gt_runner.sources import Loaded, diffusers, smoke
from gt_runner.tasks import Tracing
from gt_runner.work import output
from gt_runner.work.given_latents import given_latents
from gt_runner.work.noise import first_noise
from gt_runner.work.trace.tracing import traced
from tests.support import official

CASES = official.cases()
SMOKE = {case.id: case.data() for case in catalogue.load().cases.values() if case.source == "smoke"}
ALL = CASES | SMOKE
STEPS = 3
UNPACKED = ("ZImagePipeline", "WanPipeline")
NEGATIVE = {name for name, case in ALL.items() if "negative_prompt" in case["call"]} | {"flux_2_klein_base_image_t2i"}


@dataclass(frozen=True)
class Made:
    """What a traced case left behind, beside the digests of its files with and without a trace."""

    pipeline: str
    untraced: list[str]
    traced: list[str]
    latent: dict[str, Any]
    entry: dict[str, Any]
    tensors: dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def loaded(models: Path) -> Iterator[Any]:
    """Load a case's pipeline, once for each model; one thread, and small inputs for the Qwen edit pipelines."""
    pipelines: dict[str, Loaded] = {}

    def load(case: dict[str, Any]) -> Loaded:
        repo = case["model"].get("repo", case["model"].get("tiny"))
        if repo not in pipelines:
            source = smoke if "tiny" in case["model"] else diffusers
            found: Any = {"repositories": {repo: {"path": str(models / repo)}}}
            pipelines[repo] = source.load(official.runnable(case, catalogue.CASES), found, "cpu")
        return pipelines[repo]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for module in (pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus, pipeline_qwenimage_layered):
            whole = module.calculate_dimensions
            patch.setattr(module, "calculate_dimensions", lambda area, ratio, of=whole: of(area / 64, ratio))
        yield load
    torch.set_num_threads(threads)


def small(name: str) -> dict[str, Any]:
    case = copy.deepcopy(ALL[name])
    case["call"]["num_inference_steps"] = STEPS
    if name.startswith("qwen_image_edit"):
        case["call"] |= official.SMALL
    return case


def tracing(folder: Path, *stages: str, every: int = 1) -> Tracing:
    return {"folder": str(folder), "stages": list(stages), "every": every, "version": "1"}


def run(
    case: dict[str, Any], loaded: Any, models: Path, folder: Path, asked: Tracing | None, noise: Path | None = None
) -> tuple[Any, list[str]]:
    """The record of the first noise, and the digests of the files."""
    runnable, pipeline = official.runnable(case, catalogue.CASES), loaded(case)
    fetched: Any = {"latents": {"path": str(noise)}}
    with (
        traced(asked, runnable, pipeline) as drew,
        first_noise(drew) as latent,
        given_latents(runnable, fetched, pipeline, latent),
    ):
        generated = pipeline.generate(runnable, official.inputs_of(case, models), lambda *_: None)
    paths = output.save(generated.frames, runnable, folder)
    return latent, [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


@pytest.fixture(scope="module")
def made(loaded: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("traces")
    found = {}
    for name in ALL:
        case = small(name)
        _, untraced = run(case, loaded, models, folder, None)
        latent, files = run(case, loaded, models, folder, tracing(folder / "trace"))
        entry = json.loads((folder / "trace" / "trace.json").read_text())["cases"][name]
        found[name] = Made(
            loaded(case).pipeline, untraced, files, latent, entry, load_file(folder / "trace" / entry["file"])
        )
    return found


@pytest.mark.parametrize("name", ALL)
def test_a_traced_run_makes_the_same_bytes(name: str, made: dict[str, Made]) -> None:
    assert made[name].traced == made[name].untraced


@pytest.mark.parametrize("name", ALL)
def test_the_stages_are_those_of_the_run_in_its_order(name: str, made: dict[str, Made]) -> None:
    entry = made[name].entry
    steps = [f"{stage}.{step}" for step in range(STEPS) for stage in ("latents", "model_output")]
    conditions = [f"condition.{number}" for number in range(len(ALL[name].get("inputs", [])))]
    kinds = ["", ".pooled"] if made[name].pipeline in ("FluxPipeline", "FluxKontextPipeline") else [""]
    prompts = [f"prompt_embeds{kind}" for kind in kinds]
    negative = [f"negative_prompt_embeds{kind}" for kind in kinds] if name in NEGATIVE else []
    loop = ["timesteps", "sigmas", *steps, "latents.final", "decoded"]
    before = list(entry["stages"])[: -len(loop)]
    assert list(entry["stages"])[-len(loop) :] == loop
    assert before[: len(prompts)] == prompts
    assert sorted(before) == sorted([*prompts, *negative, *conditions, "noise"])
    assert entry["steps"] == STEPS
    missing = ([] if conditions else ["condition"]) + ([] if negative else ["negative_prompt_embeds"])
    assert sorted(entry["absent"]) == sorted(missing)


@pytest.mark.parametrize("name", ALL)
def test_the_first_noise_is_the_recorded_one_and_what_the_loop_starts_from(name: str, made: dict[str, Made]) -> None:
    tensors, stages = made[name].tensors, made[name].entry["stages"]
    assert stages["noise"]["sha256"] == made[name].latent["sha256"]
    drawn, entering = tensors["noise"].flatten().sort().values, tensors["latents.0"].flatten().sort().values
    assert torch.equal(drawn, entering)  # packing only puts the values into another order
    packed = "packed" in stages["latents.0"]["layout"]
    assert packed == (tensors["latents.0"].ndim == 3) == (made[name].pipeline not in UNPACKED)


@pytest.mark.parametrize("name", ALL)
def test_each_stage_says_its_axes_and_the_phase_of_the_run(name: str, made: dict[str, Made]) -> None:
    for stage, said in made[name].entry["stages"].items():
        axes = said["layout"].removeprefix("packed: ").split(", ")
        assert len(axes) == len(said["shape"]), stage
        assert said["phase"] in ("encode", "prepare", "denoise", "decode")
    decoded = made[name].tensors["decoded"]
    assert decoded.is_floating_point()
    assert decoded.shape[0 if name == "qwen_image_layered_i2i" else 1] in (3, 4)


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name].get("inputs")])
def test_each_input_image_is_a_condition_of_its_own(name: str, made: dict[str, Made]) -> None:
    conditions = [tensor for stage, tensor in made[name].tensors.items() if stage.startswith("condition.")]
    assert len(conditions) == len(ALL[name]["inputs"])
    assert len({tensor.numpy().tobytes() for tensor in conditions}) == len(conditions)


def test_stages_and_every_bound_what_a_run_keeps(loaded: Any, models: Path, tmp_path: Path) -> None:
    asked = tracing(tmp_path / "trace", "latents.*", "decoded", every=2)
    run(small("flux_image_t2i"), loaded, models, tmp_path, asked)
    [entry] = json.loads((tmp_path / "trace" / "trace.json").read_text())["cases"].values()
    assert list(entry["stages"]) == ["latents.0", "latents.2", "latents.final", "decoded"]
    assert (entry["every"], entry["absent"]) == (2, {})


def test_what_was_asked_for_and_is_not_there_is_told_with_what_there_is(
    loaded: Any, models: Path, tmp_path: Path
) -> None:
    asked = ["latents.999", "condition.0", "stage_2.latents", "latents.[13]", "prompt_embeds.7", "latents.2"]
    run(small("flux_image_t2i"), loaded, models, tmp_path, tracing(tmp_path / "trace", *asked, every=2))
    [entry] = json.loads((tmp_path / "trace" / "trace.json").read_text())["cases"].values()
    there = (
        "the run has prompt_embeds, prompt_embeds.pooled, noise, timesteps, sigmas, latents.0 to latents.2, "
        "model_output.0 to model_output.2, latents.final, decoded"
    )
    assert list(entry["stages"]) == ["latents.2"]
    assert entry["absent"] == {
        **dict.fromkeys(("latents.999", "stage_2.latents", "prompt_embeds.7"), there),
        **dict.fromkeys(("condition", "condition.0"), "the case has no input image"),
        "latents.[13]": "its steps are left out by --every",
    }


def test_a_run_that_fails_writes_no_trace_and_leaves_the_pipeline_as_it_was(
    loaded: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small("flux_image_t2i")
    pipeline = loaded(case).official
    before = {name: dict(vars(part)) for name, part in (("pipeline", pipeline), ("vae", pipeline.vae))}
    decode = type(pipeline.vae).decode
    monkeypatch.setattr(type(pipeline.vae), "decode", lambda *args, **kwargs: (decode(*args, **kwargs)[0] * torch.nan,))
    with pytest.raises(SourceError, match="holds NaN"):
        run(case, loaded, models, tmp_path, tracing(tmp_path / "trace"))
    assert not (tmp_path / "trace").exists()
    assert {name: dict(vars(part)) for name, part in (("pipeline", pipeline), ("vae", pipeline.vae))} == before


def test_a_pipeline_without_a_stage_is_traced_and_says_so_by_name(
    loaded: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small("flux_image_t2i")
    pipeline = type(loaded(case).official)
    whole = pipeline.encode_prompt

    def unknown(*args: Any, **kwargs: Any) -> Any:
        return whole(*args, **kwargs)  # by which nobody knows what is what

    monkeypatch.setattr(pipeline, "encode_prompt", unknown)
    run(case, loaded, models, tmp_path, tracing(tmp_path / "trace"))
    [entry] = json.loads((tmp_path / "trace" / "trace.json").read_text())["cases"].values()
    assert entry["absent"]["prompt_embeds"] == "it was not seen where this source has it"


def with_latents(name: str, folder: Path, **tensors: torch.Tensor) -> tuple[dict[str, Any], Path]:
    """A case that starts from these tensors, and the file that it names."""
    file = folder / f"{name}.safetensors"
    save_file({key.replace("latents_0", "latents.0"): tensor.contiguous() for key, tensor in tensors.items()}, file)
    case = small(name)
    case["latents"] = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    return case, file


@pytest.mark.parametrize("name", ALL)
def test_a_case_starts_from_the_latents_that_it_names_and_the_record_says_which(
    name: str, made: dict[str, Made], loaded: Any, models: Path, tmp_path: Path
) -> None:
    own = made[name].tensors["latents.0"]
    case, file = with_latents(name, tmp_path, latents_0=own)
    assert run(case, loaded, models, tmp_path, None, file)[1] == made[name].untraced
    case, file = with_latents(name, tmp_path, latents_0=own.flip(-1))
    latent, other = run(case, loaded, models, tmp_path, tracing(tmp_path / "trace", "noise", "latents.0"), file)
    assert other != made[name].untraced
    [entry] = json.loads((tmp_path / "trace" / "trace.json").read_text())["cases"].values()
    assert torch.equal(load_file(tmp_path / "trace" / entry["file"])["latents.0"], own.flip(-1))
    assert entry["absent"] == {"noise": "the case gives its latents"}
    assert (latent["sha256"], latent["given"]) == (entry["stages"]["latents.0"]["sha256"], file.name)
    assert (latent["shape"], latent["reason"]) == (list(own.shape), None)


def test_latents_of_another_size_are_refused(loaded: Any, models: Path, tmp_path: Path) -> None:
    case, file = with_latents("flux_image_t2i", tmp_path, latents_0=torch.zeros(1, 3, 64))
    with pytest.raises(SourceError, match=r"have the shape \[1, 3, 64\], and the run starts from \[1, 16, 16\]"):
        run(case, loaded, models, tmp_path, None, file)


def test_latents_of_another_dtype_become_those_of_the_run(
    made: dict[str, Made], loaded: Any, models: Path, tmp_path: Path
) -> None:
    own = made["flux_image_t2i"].tensors["latents.0"]
    case, file = with_latents("flux_image_t2i", tmp_path, latents_0=own.double())
    latent, files = run(case, loaded, models, tmp_path, None, file)
    assert files == made["flux_image_t2i"].untraced
    assert latent["dtype"] == "float32"
