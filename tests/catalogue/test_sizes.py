"""The promise of sizes and arguments: what a case asks for is what is saved, or it is refused before anything runs."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import diffusers
import pytest

from ci.catalogue import files
from ci.catalogue.files import Catalogue
from ci.catalogue.official import LtxCase, Wan21Case, Wan22Case
from ci.catalogue.sizes import multiple_of
from ci.errors import CatalogueError
from tests.support.factory import body, write_cases

VIDEO = {"kind": "video", "format": "png", "name_gpus": 1, "fps": 8, "codec": "libx264", "video_quality": 5}


def mistakes(folder: Path, changes: dict[str, Any] | None = None, **call: Any) -> list[str]:
    arguments = {"prompt": "a cat", "num_inference_steps": 2, "seed": 1, **call}
    write_cases(folder, {"one": body(call=arguments, **(changes or {}))})
    try:
        files.load(folder)
    except CatalogueError as error:
        return [str(mistake) for mistake in error.mistakes]
    return []


@pytest.mark.parametrize(
    ("pipeline", "width", "height"),
    [
        *(("FluxPipeline", 1024, 1024), ("FluxPipeline", 16, 2048), ("Flux2KleinPipeline", 1248, 832)),
        *(("WanPipeline", 832, 480), ("LTXPipeline", 768, 512), ("StableDiffusionXLPipeline", 1000, 8)),
        *(
            ("SomebodysPipeline", 250, 101),
            (None, 333, 333),
            ("ZImagePipeline", None, 512),
            ("QwenImagePipeline", None, None),
        ),
    ],
)
def test_a_size_that_the_pipeline_makes_is_taken(
    tmp_path: Path, pipeline: str | None, width: int | None, height: int | None
) -> None:
    size = {name: side for name, side in (("width", width), ("height", height)) if side is not None}
    assert mistakes(tmp_path, {"pipeline": pipeline}, **size) == []


@pytest.mark.parametrize(
    ("pipeline", "size", "expected"),
    [
        (
            "FluxPipeline",
            {"width": 250, "height": 256},
            "multiples of 16, which FluxPipeline needs; call.width 250 cannot",
        ),
        ("Flux2Pipeline", {"width": 1024, "height": 1000}, "call.height 1000 cannot be saved as asked for"),
        ("QwenImageEditPlusPipeline", {"width": 1250, "height": 830}, "call.width 1250 and call.height 830 cannot"),
        ("ZImagePipeline", {"height": 1}, "multiples of 16"),
        ("LTX2Pipeline", {"width": 720, "height": 512}, "multiples of 32"),
        ("StableDiffusion3Pipeline", {"width": 1000}, "multiples of 16"),
        ("StableDiffusionPipeline", {"width": 1001}, "multiples of 8"),
        ("QwenImageLayeredPipeline", {"width": 640}, "no call.width and no call.height"),
    ],
)
def test_a_size_that_the_pipeline_does_not_make_is_refused(
    tmp_path: Path, pipeline: str, size: dict[str, int], expected: str
) -> None:
    (line,) = mistakes(tmp_path, {"pipeline": pipeline}, **size)
    assert expected in line


@pytest.mark.parametrize(("width", "height"), [(200, 120), (101, 67), (192, 120), (1920, 1080)])
@pytest.mark.parametrize("pipeline", ["WanPipeline", "SomebodysPipeline"])
def test_a_video_has_whole_macro_blocks(tmp_path: Path, pipeline: str, width: int, height: int) -> None:
    changes = {"pipeline": pipeline, "output": VIDEO}
    (line,) = mistakes(tmp_path, changes, width=width, height=height)
    assert "expected multiples of 16" in line
    assert mistakes(tmp_path, changes, width=width // 16 * 16, height=height // 16 * 16) == []


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("wan2_1_t2v_1.3b", 840, "multiples of 16"),
        ("wan2_2_ti2v_5b_t2v", 1296, "multiples of 32"),
        ("ltx_2_two_stage_t2v", 800, "multiples of 64"),
        ("ltx_2.3_one_stage_ti2v", 784, "multiples of 32"),
        ("ltx_2_3_hq_pipeline", 1952, "multiples of 64"),
    ],
)
def test_the_official_repositories_have_their_multiples_too(
    catalogue: Catalogue, name: str, width: int, expected: str
) -> None:
    spec = catalogue.cases[name].spec
    assert isinstance(spec, Wan21Case | Wan22Case | LtxCase)
    data = spec.model_dump(exclude_unset=True)
    type(spec).model_validate(data)
    data["call"]["width"] = width
    with pytest.raises(ValueError, match=expected):
        type(spec).model_validate(data)


FAMILIES = (
    *(
        "AnimateDiffPipeline",
        "AuraFlowPipeline",
        "BriaPipeline",
        "ChromaPipeline",
        "CogVideoXPipeline",
        "CogView4Pipeline",
    ),
    *("CogView3PlusPipeline", "CosmosTextToWorldPipeline", "FluxPipeline", "FluxKontextPipeline", "Flux2Pipeline"),
    *(
        "HunyuanDiTPipeline",
        "HunyuanVideoPipeline",
        "LTXPipeline",
        "LongCatImagePipeline",
        "Lumina2Pipeline",
        "MochiPipeline",
    ),
    *("PixArtSigmaPipeline", "QwenImagePipeline", "QwenImageEditPipeline", "QwenImageEditPlusPipeline", "SanaPipeline"),
    *(
        "SkyReelsV2Pipeline",
        "StableDiffusionPipeline",
        "StableDiffusionXLPipeline",
        "StableDiffusion3Pipeline",
        "WanPipeline",
    ),
)


def refused(pipeline: Any, side: int, caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the pipeline's own check has something against a side: it raises, or warns and makes it smaller."""
    itself = MagicMock(vae_scale_factor=8, patch_size=2, _callback_tensor_inputs=[])
    itself.config.boundary_ratio = None
    parameters = list(inspect.signature(pipeline.check_inputs).parameters.values())[1:]
    arguments = {each.name: None for each in parameters if each.default is inspect.Parameter.empty}
    caplog.clear()
    try:
        pipeline.check_inputs(itself, **(arguments | {"prompt": "a cat", "height": side, "width": side}))
    except ValueError as error:
        return "divisible" in str(error)
    return any("divisible" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_multiples_are_those_of_the_pipelines_own_checks(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = getattr(diffusers, name)
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    side = 20 * multiple_of(name)
    assert not refused(pipeline, side, caplog)
    assert refused(pipeline, side + multiple_of(name) // 2, caplog)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "generator",
            "output_type",
            "return_dict",
            "num_images_per_prompt",
            "num_videos_per_prompt",
            "latents",
            "image",
        ),
        *("callback", "callback_steps", "callback_on_step_end", "callback_on_step_end_tensor_inputs", "self"),
    ],
)
def test_what_the_runner_sets_is_no_argument_of_a_case(tmp_path: Path, name: str) -> None:
    (line,) = mistakes(tmp_path, extra={name: 1})
    assert f"call.extra: expected no {name!r}: the runner sets it by itself" in line


@pytest.mark.parametrize("name", ["prompt", "width", "seed", "num_inference_steps"])
def test_an_argument_stands_in_one_place(tmp_path: Path, name: str) -> None:
    (line,) = mistakes(tmp_path, extra={name: 1})
    assert f"expected no {name!r}: it stands in call itself" in line


@pytest.mark.parametrize("name", ["a b", "", "*", "x=1", "a.b"])
def test_an_argument_has_a_name(tmp_path: Path, name: str) -> None:
    assert "call.extra: expected the name of an argument" in mistakes(tmp_path, extra={name: 1})[0]


def test_any_other_argument_is_taken(tmp_path: Path) -> None:
    assert mistakes(tmp_path, extra={"max_sequence_length": 512, "cfg_normalize": True, "sigmas": [1.0, 0.5]}) == []
