"""Every official Diffusers case, through the real runner and the real pipeline: what is passed, made and recorded.

The weights are tiny and random, the cases smaller (`tests/support/official.py`); all else is as in production. One
process runs all cases, which costs one import of Diffusers; a run by `gt` in a process of its own is compared with it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.qwenimage import (
    pipeline_qwenimage_edit,
    pipeline_qwenimage_edit_plus,
    pipeline_qwenimage_layered,
)
from diffusers.utils import BaseOutput
from PIL import Image, JpegImagePlugin

from ci.artifact.records import CaseRecord
from ci.catalogue import files as catalogue
from gt_runner.errors import SourceError
from gt_runner.sources import Generated, Loaded, diffusers, smoke
from gt_runner.work import output
from gt_runner.work.noise import first_noise
from tests.conftest import ROOT, gt_command
from tests.support import official
from tests.support.factory import write_cases
from tests.support.runs import Runner
from tests.support.spy.sitecustomize import described

SPY = ROOT / "tests" / "support" / "spy"
CASES = official.cases()
SMOKE = {case.id: case.data() for case in catalogue.load().cases.values() if case.source == "smoke"}
WITH_INPUTS = [name for name, case in CASES.items() if case.get("inputs")]
RULED = {"flux_2_ti2i": (96, 64), "qwen_image_edit_ti2i": (1248, 832), "qwen_image_layered_i2i": (1024, 1024)}
MADE = {**dict.fromkeys(CASES, (64, 64)), **RULED, "qwen_image_layered_i2i": (640, 640)}
ALONE = ["flux_2_ti2i", "flux_2_image_t2i"]  # of one model, so one process; in the other order than in the catalogue
OF_A_RUN = {"seconds", "process", "peak_memory"}
VISIBLE, SEEN = 3.0, 0.5  # of 255, on average: what a person sees, and what is no rounding
# What the smoke model knows: it draws what a prompt says, and ignores a word that it was not told.
OTHER_WORDS = {
    "smoke_t2i": {
        "prompt": "a large green heart left of a blue star on a white background",
        "negative_prompt": "a blue star above a red heart on a white background",
    },
    "smoke_ti2i": {"prompt": "make the background black", "negative_prompt": "make the background white"},
}
# Those whose in-process twin is as large as what the runner made; the others would take seconds each once more.
TWINS = [name for name in CASES if not name.startswith(("qwen_image_edit", "qwen_image_layered"))]

Record = dict[str, Any]
Generate = Callable[..., Generated]


@dataclass(frozen=True)
class Run:
    """What a run left behind: a record and files of each case, and what the spy saw of each call."""

    records: dict[str, Record]
    files: dict[str, dict[str, bytes]]  # by case and name
    calls: dict[str, dict[str, Any]]


def calls_of(spied: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """The spy's lines; a process runs its cases one after the other."""
    return dict(zip(names, map(json.loads, spied.read_text().splitlines()), strict=True))


@pytest.fixture(scope="module")
def batch(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All official cases and those for trying out, by the runner, in one process."""
    folder = tmp_path_factory.mktemp("batch")
    spied = folder / "calls"
    path = os.pathsep.join([str(SPY), str(ROOT / "containers" / "runner")])
    runner = Runner(folder, {"PYTHONPATH": path, "GT_SPY": str(spied)})
    cases = [{**case, "base": str(catalogue.CASES)} for case in (CASES | SMOKE).values()]
    ended = runner.run(cases, models=str(models))
    records = {name: event["record"] for name, event in ended.items()}
    files = {
        name: {
            file["name"]: (folder / "store" / record["key"].removeprefix("sha256:") / file["name"]).read_bytes()
            for file in record["files"]
        }
        for name, record in records.items()
    }
    return Run(records, files, calls_of(spied, list(ended)))


@pytest.fixture(scope="module")
def alone(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two cases of one model by `gt`, in another process and the other order."""
    folder = tmp_path_factory.mktemp("alone")
    bodies = {name: {k: v for k, v in CASES[name].items() if k not in ("id", "source")} for name in ALONE}
    cases = write_cases(folder / "cases", bodies)
    options = ["--official", "--source-group", "diffusers", "--on", "cpu", "--models", str(models)]
    made = subprocess.run(
        gt_command("generate", *options, "--cases", str(cases), "-o", "gt"),
        cwd=folder,
        env={**os.environ, "GT_CACHE": str(folder / "cache"), "PYTHONPATH": str(SPY), "GT_SPY": str(folder / "calls")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    records = json.loads((folder / "gt" / "manifest.json").read_text())["cases"]
    files = {
        name: {file["name"]: (folder / "gt" / file["name"]).read_bytes() for file in record["files"]}
        for name, record in records.items()
    }
    return Run(records, files, calls_of(folder / "calls", ALONE))


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    """One thread, as the runner's worker has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def generate(models: Path, here: None) -> Generate:
    """Generate a case in this process, through our own source; a model is loaded once."""
    loaded: dict[str, Loaded] = {}

    def run(case: dict[str, Any], paths: list[Path] | None = None) -> Generated:
        repo = case["model"].get("repo", case["model"].get("tiny"))
        if repo not in loaded:
            source = smoke if "tiny" in case["model"] else diffusers
            found: Any = {"repositories": {repo: {"path": str(models / repo)}}}
            loaded[repo] = source.load(official.runnable(case, catalogue.CASES), found, "cpu")
        inputs = paths or official.inputs_of(case, models)
        return loaded[repo].generate(official.runnable(case, catalogue.CASES), inputs, lambda *_: None)

    return run


def expected(name: str, models: Path) -> dict[str, Any]:
    """What the pipeline of a case is to be called with, as the spy describes it."""
    case = CASES[name]
    call = {**case["call"], **case["call"].get("extra", {})}
    arguments = {key: value for key, value in call.items() if key not in ("seed", "extra")}
    arguments["generator"] = described(torch.Generator("cpu").manual_seed(call["seed"]))
    if name in WITH_INPUTS:
        mode = "RGBA" if case["conditioning"] == "qwen_layered" else "RGB"
        seen = [described(Image.open(path).convert(mode)) for path in official.inputs_of(case, models)]
        arguments["image"] = seen if len(seen) > 1 else seen[0]
    if name in RULED:
        arguments |= dict(zip(("width", "height"), RULED[name], strict=True))
    return {key: value for key, value in arguments.items() if key not in dropped(name)}


def dropped(name: str) -> list[str]:
    """The arguments that a pipeline does not take."""
    return ["height", "width"] if name == "qwen_image_layered_i2i" else []


def test_the_small_cases_differ_from_the_official_ones_in_size_steps_and_precision_only() -> None:
    ours = catalogue.load().cases
    for name, case in CASES.items():
        whole = ours[name].data()
        assert {key for key in whole if whole[key] != case[key]} <= {"call", "needs", "runtime"}
        changed = {key for key in case["call"] if case["call"][key] != whole["call"].get(key)}
        assert changed <= {"width", "height", "num_inference_steps"}
        assert {key for key in case["runtime"] if case["runtime"][key] != whole["runtime"][key]} == {"dtype"}


def test_all_official_diffusers_cases_are_run(batch: Run, facts: dict[str, Any]) -> None:
    official_ids = {name for name, fact in facts.items() if fact["group"] == "diffusers"}
    assert set(CASES) == official_ids
    assert set(batch.records) == official_ids | set(SMOKE)


@pytest.mark.parametrize("name", CASES)
def test_what_reaches_the_pipelines_call_is_what_the_case_says_and_nothing_else(
    name: str, batch: Run, models: Path
) -> None:
    call = batch.calls[name]
    assert call["pipeline"] == CASES[name]["pipeline"]
    assert (call["positional"], call["dtype"]) == (0, "torch.float32")
    assert call["arguments"] == expected(name, models)


@pytest.mark.parametrize("name", CASES)
def test_what_reaches_the_pipelines_call_is_what_the_official_generator_passes(
    name: str, batch: Run, facts: dict[str, Any]
) -> None:
    seen = batch.calls[name]["arguments"]
    passed = {key: value for key, value in facts[name]["pipeline_call_kwargs"].items() if value != "unknown"}
    assert set(seen) == set(passed)
    for key in set(passed) - {"image", "generator", "width", "height", "num_inference_steps"}:
        assert seen[key] == passed[key], key


@pytest.mark.parametrize("name", CASES)
def test_the_record_holds_the_arguments_that_were_passed_and_those_that_were_not(
    name: str, batch: Run, models: Path
) -> None:
    record = batch.records[name]

    def recorded(image: dict[str, Any]) -> dict[str, Any]:
        return {"mode": image["mode"], "width": image["size"][0], "height": image["size"][1]}

    arguments = expected(name, models) | {"generator": {"device": "cpu", "seed": 42}}
    if name in WITH_INPUTS:
        image = arguments["image"]
        arguments["image"] = [recorded(one) for one in image] if isinstance(image, list) else recorded(image)
    assert record["passed"] == arguments
    assert record["dropped"] == dropped(name)


@pytest.mark.parametrize("name", CASES)
def test_the_files_are_named_sized_and_encoded_as_published(name: str, batch: Run, facts: dict[str, Any]) -> None:
    [file] = batch.records[name]["files"]
    [data] = batch.files[name].values()
    assert [file["name"]] == facts[name]["output_files"]
    assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    with Image.open(BytesIO(data)) as image:
        assert image.size == (file["width"], file["height"]) == MADE[name]
        assert image.mode == "RGB"
        if name == "qwen_image_layered_i2i":
            assert image.format == "PNG"
        else:
            assert encoding(image) == encoding(quality_75())


def quality_75() -> Image.Image:
    data = BytesIO()
    Image.new("RGB", (16, 16)).save(data, "JPEG", quality=75, subsampling="4:2:0")
    return Image.open(data)


def encoding(image: Image.Image) -> tuple[dict[int, list[int]], int]:
    """The quantization tables and the chroma subsampling of a JPEG, which are what its quality comes to."""
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    return image.quantization, JpegImagePlugin.get_sampling(image)


@pytest.mark.parametrize("name", CASES)
def test_the_record_says_what_ran(name: str, batch: Run, models: Path) -> None:
    case, record = CASES[name], batch.records[name]
    assert record["pipeline"] == case["pipeline"]
    assert (record["seed"], record["generator_device"], record["dtype"]) == (42, "cpu", "fp32")
    assert record["global_rng_used"] == []
    assert record["case"] == case
    urls = [given["url"] for given in case.get("inputs", [])]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in official.inputs_of(case, models)]
    assert record["inputs"] == [{"url": url, "sha256": sha} for url, sha in zip(urls, digests, strict=True)]
    [weights] = record["weights"]
    assert (weights["repo"], weights["commit"]) == (case["model"]["repo"], None)


@pytest.mark.parametrize("name", [*CASES, *SMOKE])
def test_the_record_names_the_first_noise_which_is_the_first_draw_of_the_cases_seed(name: str, batch: Run) -> None:
    latent = batch.records[name]["initial_latent"]
    generator = torch.Generator("cpu").manual_seed(batch.records[name]["seed"])
    noise = torch.randn(latent["shape"], generator=generator, dtype=getattr(torch, latent["dtype"]))
    assert (latent["sha256"], latent["reason"]) == (hashlib.sha256(noise.numpy().tobytes()).hexdigest(), None)


@pytest.mark.parametrize("name", [*TWINS, *SMOKE])
def test_the_first_noise_is_what_the_first_step_starts_from(
    name: str, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[torch.Tensor] = []
    for scheduler in (FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler):
        step = scheduler.step

        def stepped(self: Any, output: Any, timestep: Any, sample: Any, *args: Any, of: Any = step, **rest: Any) -> Any:
            first.append(sample.float().flatten().sort().values)
            return of(self, output, timestep, sample, *args, **rest)

        monkeypatch.setattr(scheduler, "step", stepped)
    case = (CASES | SMOKE)[name]
    with first_noise() as latent:
        generate(case)
    generator = torch.Generator("cpu").manual_seed(case["call"]["seed"])
    noise = torch.randn(latent["shape"], generator=generator, dtype=getattr(torch, latent["dtype"]))
    assert torch.equal(first[0], noise.flatten().sort().values)  # packing only puts the values into another order


@pytest.mark.parametrize("name", [*CASES, *SMOKE])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_that_gives_nan_or_infinity_makes_no_image(
    name: str, value: float, generate: Generate, small_inputs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for vae in (AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLWan, AutoencoderKLQwenImage):
        decode = vae.decode

        def broken(self: Any, *args: Any, of: Any = decode, **options: Any) -> Any:
            return tuple(part * value for part in of(self, *args, **{**options, "return_dict": False}))

        monkeypatch.setattr(vae, "decode", broken)
    case = copy.deepcopy((CASES | SMOKE)[name])
    if name.startswith("qwen_image_edit"):
        case["call"] |= official.SMALL
    with pytest.raises(SourceError, match=r"holds (NaN|infinity)"):
        generate(case)


class Answer(BaseOutput):  # type: ignore[misc]  # Diffusers ships no types
    """What a pipeline with a safety checker returns."""


RETURNED = {
    "a tuple": ([Image.new("RGB", (64, 64))],),
    "neither": Answer(pictures=1),
    "blocked": Answer(images=[Image.new("RGB", (64, 64))], nsfw_content_detected=[True]),
    "blocked by another name": Answer(images=[Image.new("RGB", (64, 64))], nsfw_detected=[False, True]),
}


@pytest.mark.parametrize("what", RETURNED)
def test_what_a_pipeline_returns_instead_of_an_image_is_named(
    what: str, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FluxPipeline, "__call__", lambda *_args, **_options: RETURNED[what])
    reason = "safety check blocked" if "blocked" in what else "holds neither images nor frames"
    with pytest.raises(SourceError, match=reason):
        generate(CASES["flux_image_t2i"])


def test_an_image_that_a_safety_checker_passed_is_an_image(generate: Generate, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = Answer(images=[Image.new("RGB", (64, 64))], nsfw_content_detected=[False])
    monkeypatch.setattr(FluxPipeline, "__call__", lambda *_args, **_options: passed)
    assert generate(CASES["flux_image_t2i"]).frames.shape == (1, 64, 64, 3)


def test_a_video_that_a_guardrail_blocked_is_named() -> None:
    guard = SimpleNamespace(check_video_safety=lambda _: None)
    pipeline = SimpleNamespace(safety_checker=guard, progress_bar=None)
    with diffusers._watched(pipeline, lambda *_: None), pytest.raises(SourceError, match="safety check blocked"):
        guard.check_video_safety("a video")
    assert guard.check_video_safety("a video") is None


def test_gt_passes_records_and_makes_the_same_as_the_runner(batch: Run, alone: Run) -> None:
    for name in ALONE:
        assert alone.calls[name] == batch.calls[name]
        of_gt, of_runner = (CaseRecord.model_validate(run.records[name]) for run in (alone, batch))
        assert of_gt.model_dump(exclude=OF_A_RUN) == of_runner.model_dump(exclude=OF_A_RUN)


@pytest.mark.parametrize("name", ALONE)
def test_a_case_is_the_same_to_the_byte_in_another_process_and_order(name: str, batch: Run, alone: Run) -> None:
    assert alone.files[name] == batch.files[name]


@pytest.mark.parametrize("name", [*TWINS, *SMOKE])
def test_a_case_is_the_same_to_the_byte_alone_and_among_others(
    name: str, batch: Run, generate: Generate, tmp_path: Path
) -> None:
    case = (CASES | SMOKE)[name]
    for _ in range(2):
        paths = output.save(generate(case).frames, official.runnable(case, tmp_path), tmp_path)
        assert {path.name: path.read_bytes() for path in paths} == batch.files[name]


@pytest.fixture
def small_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Qwen edit pipelines enlarge inputs to 1024 * 1024 pixels first, which takes seconds: here 64 times less."""
    for module in (pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus, pipeline_qwenimage_layered):
        whole = module.calculate_dimensions
        monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio, of=whole: of(area / 64, ratio))


@pytest.mark.parametrize("name", [*CASES, *SMOKE])
def test_the_output_depends_on_seed_prompt_negative_prompt_and_input_image(
    name: str, generate: Generate, models: Path, small_inputs: None, tmp_path: Path
) -> None:
    case = copy.deepcopy((CASES | SMOKE)[name])
    if name.startswith("qwen_image_edit"):
        case["call"] |= official.SMALL
    changes = {"seed": 43, "prompt": case["call"]["prompt"] + " now"}
    if "negative_prompt" in case["call"]:
        changes["negative_prompt"] = "too dark"
    changes |= OTHER_WORDS.get(name, {})
    base = generate(case)
    effects = {key: difference(base, generate({**case, "call": case["call"] | {key: changes[key]}})) for key in changes}
    if case.get("inputs"):
        turned = [tmp_path / f"{number}.png" for number in range(len(case["inputs"]))]
        for path, copied in zip(official.inputs_of(case, models), turned, strict=True):
            Image.open(path).transpose(Image.Transpose.ROTATE_180).save(copied)
        effects["image"] = difference(base, generate(case, turned))
    if name == "smoke_ti2i":  # an edit leaves next to nothing to chance
        assert effects.pop("seed") > 0
    assert min(effects.values()) > (VISIBLE if name in SMOKE else SEEN), effects


def difference(one: Generated, other: Generated) -> float:
    """Mean absolute difference of all pixels, 0..255."""
    return float(np.abs(one.frames.astype(float) - other.frames).mean())
