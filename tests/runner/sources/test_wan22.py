"""The Wan2.2 source, driven on the stand-in: what is its own. What it has in common with Wan2.1 is tested there.

Where a checkout is at hand, `test_wan_stand_in.py` compares the stand-in with the repository at its pin, and
`test_wan22_weights.py` runs the repository itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from PIL import Image

from gt_runner.errors import SourceError
from gt_runner.sources import wan22
from gt_runner.sources.checkout import import_official
from gt_runner.work.noise import first_noise
from gt_runner.work.trace.tracing import traced
from tests.support.wan import found, fresh_imports, names_of_configs
from tests.support.wan22 import CHECKOUT, make, picture, with_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gt_runner.contract import Case
    from gt_runner.tasks import Tracing

SHARED = {
    "input_prompt": "a raccoon",
    "n_prompt": "blurry",
    "frame_num": 6,
    "sampling_steps": 3,
    "guide_scale": 3.5,
    "shift": 2.5,
    "sample_solver": "dpm++",
    "seed": 42,
    "offload_model": False,
}


@pytest.fixture(autouse=True)
def _fresh_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh_imports(monkeypatch):
        yield


def made() -> list[Any]:
    """The objects of the stand-in's class."""
    return cast("list[Any]", import_official("wan.textimage2video", make(), found()).WanTI2V.made)


def generate(case: Case, *inputs: Path) -> Any:
    return wan22.load(case, found(), "cuda").generate(case, [*inputs], lambda *_: None)


def test_without_an_image_the_size_reaches_the_official_call_and_the_area_stays_its_own() -> None:
    result = generate(make())
    [model] = made()
    assert model.calls == [SHARED | {"size": (64, 32), "img": None, "max_area": 704 * 1280}]
    assert result.passed == SHARED | {"size": [64, 32]}
    assert result.frames.shape == (5, 32, 64, 3)


def test_with_an_image_it_reaches_the_official_call_with_the_area_that_it_is_sized_to(tmp_path: Path) -> None:
    case = make(image=True)
    result = generate(case, picture(tmp_path / "picture.png", (64, 48)))
    [model] = made()
    [call] = model.calls
    image = call.pop("img")
    assert call == SHARED | {"size": (1280, 704), "max_area": 2048}
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(tmp_path / "picture.png")))
    assert result.passed == SHARED | {"max_area": 2048, "img": {"mode": "RGB", "width": 64, "height": 48}}
    assert result.frames.shape == (5, 48, 64, 3)


def test_transparency_is_dropped_as_upstreams_loader_drops_it(tmp_path: Path) -> None:
    picture(tmp_path / "picture.png", (64, 32), mode="RGBA")
    generate(make(image=True), tmp_path / "picture.png")
    [model] = made()
    assert model.calls[0]["img"].mode == "RGB"


@pytest.mark.parametrize("runtime", [{"t5_cpu": True}, {"convert_model_dtype": True}, {}])
def test_the_constructor_gets_the_checkpoint_and_what_the_runtime_says(runtime: dict[str, bool]) -> None:
    loaded = wan22.load(make(runtime=runtime), found(), "cuda")
    [model] = made()
    one_gpu = {"device_id": 0, "rank": 0, "t5_fsdp": False, "dit_fsdp": False, "use_sp": False, "init_on_cpu": True}
    config = import_official("wan.configs", make(), found()).WAN_CONFIGS["ti2v-5B"]
    of_the_case = {"t5_cpu": False, "convert_model_dtype": False} | runtime
    assert model.options == {"config": config, "checkpoint_dir": "/weights/wan", **one_gpu, **of_the_case}
    assert loaded.pipeline == "WanTI2V"


@pytest.mark.parametrize("solver", ["unipc", "dpm++"])
def test_the_image_is_a_condition_of_the_trace(solver: str, tmp_path: Path) -> None:
    path, case = picture(tmp_path / "picture.png", (64, 32)), make(image=True, call={"sample_solver": solver})
    untraced, loaded = generate(case, path), wan22.load(case, found(), "cuda")
    asked: Tracing = {"folder": str(tmp_path), "stages": [], "every": 1, "version": "1"}
    with traced(asked, case, loaded) as drew, first_noise(drew):
        result = loaded.generate(case, [path], lambda *_: None)
    assert np.array_equal(result.frames, untraced.frames)
    [entry] = json.loads((tmp_path / "trace.json").read_text())["cases"].values()
    steps = [f"{stage}.{step}" for step in range(3) for stage in ("latents", "model_output")]
    first = ["prompt_embeds", "negative_prompt_embeds", "noise", "condition.0", "timesteps", "sigmas"]
    assert list(entry["stages"]) == [*first, *steps, "latents.final", "decoded"]
    assert entry["absent"] == {}
    assert (
        entry["stages"]["noise"]["sha256"] != entry["stages"]["latents.0"]["sha256"]
    )  # whose first frame is the image


@pytest.mark.parametrize(
    ("device", "changes", "message"),
    [
        ("cpu", {}, r"Wan2\.2 runs on CUDA devices only"),
        ("cuda", {"runtime": {"generator_device": "cpu"}}, r"Wan2\.2 makes its generator on the GPU"),
        ("cuda", {"runtime": {"quantization": "fp8"}}, r"Wan2\.2 has no quantization 'fp8'"),
        ("cuda", {"runtime": {"dtype": "fp32"}}, r"computes in torch\.bfloat16, which is not the case's fp32"),
        ("cuda", {"runtime": {"attention": "flash_attn"}}, r"Wan2\.2 finds no flash_attn package here"),
        ("cuda", {"config": "ti2v-7B"}, r"Wan2\.2 has no config 'ti2v-7B'"),
        ("cuda", {"inputs": [{"path": "a.png"}, {"path": "b.png"}]}, "one input image at most"),
        ("cuda", {"loras": [{"repo": "a/lora"}]}, "takes no LoRAs"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_loaded(
    device: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        wan22.load(make(**changes), found(), device)
    assert made() == []


@pytest.mark.parametrize(("image", "name"), [(False, "width"), (False, "height"), (True, "max_area"), (True, "seed")])
def test_an_argument_that_the_case_leaves_out_is_an_error_not_a_default(image: bool, name: str, tmp_path: Path) -> None:
    inputs = [picture(tmp_path / "picture.png", (64, 32))] if image else []
    with pytest.raises(SourceError, match=f"must name {name}$"):
        generate(make(image=image, call={name: None}), *inputs)


@with_checkout
def test_the_stand_in_has_the_config_of_the_pinned_repository() -> None:
    assert "ti2v-5B" in names_of_configs(CHECKOUT)
