"""The Wan2.2 source on the real repository, with tiny random weights.

It needs a checkout: GT_WAN22_CHECKOUT names one, or it is in our cache. The repository runs on a CPU here, see
`tests/support/tiny_wan22.py` for what that takes.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gt_runner.errors import SourceError
from gt_runner.sources import wan22
from gt_runner.sources.varlen_sdpa import in_place_of
from gt_runner.work.given_latents import given_latents
from gt_runner.work.noise import first_noise
from gt_runner.work.trace.tracing import traced
from tests.support import tiny_wan22
from tests.support.wan import found, fresh_imports
from tests.support.wan22 import CHECKOUT, make, picture, with_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci.catalogue.files import Catalogue
    from gt_runner.contract import Case, Fetched
    from gt_runner.sources.wan import LoadedWan
    from gt_runner.tasks import Tracing

pytestmark = with_checkout


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetched]:
    weights, threads = tmp_path_factory.mktemp("wan22"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, fresh_imports(patch):
        sys.path.insert(0, str(CHECKOUT))
        tiny_wan22.on_a_cpu(patch)
        tiny_wan22.build(weights)
        torch.set_num_threads(1)
        yield found(CHECKOUT, weights)
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def loaded(fetched: Fetched) -> LoadedWan:
    return wan22.load(make(), fetched, "cuda")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture(tmp_path_factory.mktemp("inputs") / "picture.png", (70, 40))


def run(loaded: LoadedWan, case: Case, *inputs: Path) -> Any:
    return loaded.generate(case, [*inputs], lambda *_: None)


def test_a_video_from_text_has_the_size_and_the_frames_that_decode(loaded: LoadedWan) -> None:
    steps: list[tuple[int, int]] = []
    made = loaded.generate(make(), [], lambda *step: steps.append(step))
    assert made.frames.shape == (5, 32, 64, 3)  # of 6 frames asked for, a VAE that takes 4k + 1 makes 5
    assert made.frames.std() > 5
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert made.dropped == []


def test_a_video_from_an_image_has_its_aspect_ratio(loaded: LoadedWan, image: Path, tmp_path: Path) -> None:
    assert run(loaded, make(image=True), image).frames.shape == (5, 32, 64, 3)
    upright = picture(tmp_path / "upright.png", (40, 70))
    assert run(loaded, make(image=True), upright).frames.shape == (5, 64, 32, 3)


@pytest.mark.parametrize("from_image", [False, True])
def test_the_same_case_gives_the_same_frames_and_every_argument_counts(
    loaded: LoadedWan, image: Path, from_image: bool
) -> None:
    inputs = [image] if from_image else []
    first = run(loaded, make(image=from_image), *inputs).frames
    assert np.array_equal(run(loaded, make(image=from_image), *inputs).frames, first)
    for change in (
        {"prompt": "a fox"},
        {"negative_prompt": "sharp"},
        {"num_inference_steps": 2},
        {"guidance_scale": 1.5},
        {"flow_shift": 5.0},
        {"sample_solver": "unipc"},
        {"seed": 43},
    ):
        other = run(loaded, make(image=from_image, call=change), *inputs).frames
        assert not np.array_equal(other, first), change


def test_another_image_gives_another_video(loaded: LoadedWan, image: Path, tmp_path: Path) -> None:
    other = picture(tmp_path / "other.png", (70, 40), seed=4)
    frames = [run(loaded, make(image=True), path).frames for path in (image, other)]
    assert not np.array_equal(*frames)


@pytest.mark.parametrize("from_image", [False, True])
def test_frames_are_those_of_the_repositorys_own_generate(
    loaded: LoadedWan, fetched: Fetched, image: Path, from_image: bool
) -> None:
    """As generate.py calls it, with the frames as upstream's generator makes them of the tensor."""
    official: Any = loaded.module
    opened = official.Image.open(image).convert("RGB") if from_image else None
    model = official.WanTI2V(
        sys.modules["wan.configs"].WAN_CONFIGS["ti2v-5B"], fetched["repositories"]["tiny/wan"]["path"]
    )
    attention = sys.modules["wan.modules.attention"].flash_attention
    with in_place_of(attention, "wan"):
        video = model.generate(
            "a raccoon",
            img=opened,
            size=(64, 32),
            max_area=2048,
            frame_num=6,
            shift=2.5,
            sample_solver="dpm++",
            sampling_steps=3,
            guide_scale=3.5,
            n_prompt="blurry",
            seed=42,
            offload_model=True,
        )
    case = make(image=from_image)
    assert np.array_equal(run(loaded, case, *[image] * from_image).frames, _as_upstream(video))


def _as_upstream(video: torch.Tensor) -> Any:
    frames = video.permute(1, 2, 3, 0).numpy()
    return np.stack([((frame + 1) / 2 * 255).clip(0, 255).astype(np.uint8) for frame in frames])


@pytest.mark.parametrize("from_image", [False, True])
def test_a_traced_run_makes_the_same_frames_and_gives_the_stages(
    loaded: LoadedWan, image: Path, from_image: bool, tmp_path: Path
) -> None:
    case, inputs = make(image=from_image), [image] * from_image
    asked: Tracing = {"folder": str(tmp_path), "stages": [], "every": 1, "version": "1"}
    with traced(asked, case, loaded) as drew, first_noise(drew) as latent:
        made = run(loaded, case, *inputs)
    assert np.array_equal(made.frames, run(loaded, case, *inputs).frames)
    [entry] = json.loads((tmp_path / "trace.json").read_text())["cases"].values()
    stages, tensors = entry["stages"], load_file(tmp_path / "tiny.safetensors")
    assert entry["absent"] == ({} if from_image else {"condition": "the case has no input image"})
    assert stages["noise"]["shape"] == latent["shape"] == [48, 2, 2, 4]
    assert stages["noise"]["sha256"] == latent["sha256"]
    assert stages["decoded"]["shape"] == [3, 5, 32, 64]
    assert {f"{stage}.{step}" for step in range(3) for stage in ("latents", "model_output")} < stages.keys()
    start = tensors["latents.0"][0]
    if from_image:
        assert torch.equal(start[:, :1], tensors["condition.0"])
        assert torch.equal(start[:, 1:], tensors["noise"][:, 1:])
    else:
        assert torch.equal(start, tensors["noise"])


def test_a_case_starts_from_the_latents_that_it_names(loaded: LoadedWan, fetched: Fetched, tmp_path: Path) -> None:
    save_file({"latents.0": torch.randn(1, 48, 2, 2, 4)}, tmp_path / "noise.safetensors")
    case = make(latents={"url": "https://example.org/noise.safetensors", "sha256": "0" * 64})
    given = cast("Fetched", {**fetched, "latents": {"path": str(tmp_path / "noise.safetensors")}})
    with first_noise() as latent, given_latents(case, given, loaded, latent):
        made = run(loaded, case)
    assert (latent["given"], latent["shape"]) == ("https://example.org/noise.safetensors", [48, 2, 2, 4])
    assert not np.array_equal(made.frames, run(loaded, make()).frames)


@pytest.mark.parametrize(("convert", "dtype"), [(False, torch.float32), (True, torch.bfloat16)])
def test_the_transformers_weights_have_the_dtype_that_the_case_says(
    fetched: Fetched, convert: bool, dtype: torch.dtype
) -> None:
    model: Any = wan22.load(make(runtime={"convert_model_dtype": convert}), fetched, "cuda")._model
    assert {parameter.dtype for parameter in model.model.parameters()} == {dtype}


def test_loading_draws_no_weights_that_the_checkpoint_replaces(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[torch.Tensor] = []

    def draw(weight: torch.Tensor, *_: float) -> torch.Tensor:
        drawn.append(weight)
        return weight

    for name in ("normal_", "uniform_"):
        monkeypatch.setattr(torch.Tensor, name, draw)
    wan22.load(make(), fetched, "cuda")
    assert drawn == []


def test_a_text_encoder_on_the_cpu_is_of_the_same_text(fetched: Fetched, loaded: LoadedWan) -> None:
    on_cpu = wan22.load(make(runtime={"t5_cpu": True}), fetched, "cuda")
    assert np.array_equal(run(on_cpu, make()).frames, run(loaded, make()).frames)


def test_flash_attn_that_is_not_there_is_refused(fetched: Fetched) -> None:
    with pytest.raises(SourceError, match=r"Wan2\.2 finds no flash_attn package here"):
        wan22.load(make(runtime={"attention": "flash_attn"}), fetched, "cuda")


def test_our_cases_say_what_the_repositorys_configuration_says(fetched: Fetched, catalogue: Catalogue) -> None:
    configs: Any = sys.modules["wan.configs"]
    config = configs.WAN_CONFIGS["ti2v-5B"]
    for name in ("wan2_2_ti2v_5b", "wan2_2_ti2v_5b_t2v"):
        data = catalogue.cases[name].data()
        call = data["call"]
        assert call["negative_prompt"] == config.sample_neg_prompt
        assert call["num_inference_steps"] == config.sample_steps
        assert (call["guidance_scale"], call["flow_shift"]) == (config.sample_guide_scale, config.sample_shift)
        assert data["output"]["fps"] == config.sample_fps
    text = catalogue.cases["wan2_2_ti2v_5b_t2v"].data()["call"]
    assert (text["width"], text["height"]) == configs.SIZE_CONFIGS[configs.SUPPORTED_SIZES["ti2v-5B"][1]]
    assert text["num_frames"] == config.frame_num
    image = catalogue.cases["wan2_2_ti2v_5b"].data()["call"]
    assert image["max_area"] == configs.MAX_AREA_CONFIGS["1280*704"]


def test_the_text_of_our_text_to_video_case_is_that_of_the_readme(catalogue: Catalogue) -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    [prompt] = re.findall(r'--task ti2v-5B --size 1280\*704 (?!.*--image).*--prompt "(.*)"', readme)
    assert catalogue.cases["wan2_2_ti2v_5b_t2v"].data()["call"]["prompt"] == prompt


def test_the_files_that_the_repository_opens_are_fetched(fetched: Fetched, catalogue: Catalogue) -> None:
    config: Any = sys.modules["wan.configs"].WAN_CONFIGS["ti2v-5B"]
    patterns = catalogue.cases["wan2_2_ti2v_5b"].data()["model"]["files"]
    for name in (config.t5_checkpoint, config.vae_checkpoint):
        assert f"*.{name.rpartition('.')[2]}" in patterns
    assert f"{config.t5_tokenizer}/*" in patterns
