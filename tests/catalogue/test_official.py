"""Our catalogue against the checked facts: every parameter of every official case, one by one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from ci.catalogue.files import CASES, Catalogue
from ci.catalogue.model import Case
from ci.catalogue.official import OFFICIAL_SOURCES, DiffusersRuntime

H200 = {
    "flux_2_image_t2i",
    "flux_2_klein_image_t2i",
    "flux_2_klein_base_image_t2i",
    "flux_2_ti2i",
    "ltx_2_two_stage_t2v",
    "ltx_2.3_two_stage_t2v_2gpus",
    "ltx_2_3_two_stage_ti2v_2gpus",
    "ltx_2_3_hq_pipeline",
}
OFFICIAL = [
    name
    for path in sorted(CASES.glob("*.yaml"))
    if (file := yaml.safe_load(path.read_text()))["source"] in OFFICIAL_SOURCES
    for name in file["cases"]
]


@pytest.fixture(params=OFFICIAL)
def pair(request: pytest.FixtureRequest, catalogue: Catalogue, facts: dict[str, Any]) -> tuple[Case, dict[str, Any]]:
    """An official case, and what the facts say of it."""
    return catalogue.cases[request.param], facts[request.param]


def test_there_are_just_the_official_cases_of_the_facts(facts: dict[str, Any]) -> None:
    assert set(OFFICIAL) == set(facts)


def test_the_gpu_kind_follows_the_seed(catalogue: Catalogue) -> None:
    needed = {name: catalogue.cases[name].spec.needs.gpu for name in OFFICIAL}
    assert needed == {name: "h200" if name in H200 else "h100" for name in OFFICIAL}


def test_what_every_source_shares_is_as_in_the_facts(pair: tuple[Case, dict[str, Any]]) -> None:
    case, fact = pair
    data = case.data()
    assert case.model == fact["official_repo"]
    assert fact["group"] in data["groups"]
    assert ("ltx23" in data["groups"]) == (case.id in ("ltx_2.3_two_stage_t2v_2gpus", "ltx_2.3_one_stage_ti2v"))
    assert [one.get("url") for one in data.get("inputs", [])] == fact["input_images"]
    assert data["call"]["prompt"] == fact["prompt"]
    assert data["call"].get("negative_prompt") == fact["negative_prompt"]
    assert data["call"]["seed"] == fact["seed"]
    assert data["call"]["num_inference_steps"] == fact["num_inference_steps"]
    assert data["runtime"]["dtype"] == fact["dtype"].split()[0]
    assert data["needs"]["gpus"] == fact["gpus_used"]


def test_the_output_is_as_published(pair: tuple[Case, dict[str, Any]]) -> None:
    case, fact = pair
    output = case.data()["output"]
    assert (output["kind"], output["format"]) == (fact["modality"], fact["output_format"])
    assert output["name_gpus"] == fact["num_gpus_in_name"]
    assert output.get("quality") == fact["jpeg_quality"]
    if output["kind"] == "video":
        encoding = fact["video_encoding"]
        assert (output["codec"], output["video_quality"], output["fps"]) == (encoding["codec"], 5, encoding["fps"])


def test_diffusers_arguments_are_those_of_the_official_call(pair: tuple[Case, dict[str, Any]]) -> None:
    case, fact = pair
    if case.source != "diffusers":
        return
    data = case.data()
    call = {**data["call"].pop("extra", {}), **data["call"]}
    expected = {
        k: v for k, v in fact["pipeline_call_kwargs"].items() if k not in ("image", "generator") and v != "unknown"
    }
    if data.get("inputs"):  # there the size comes from the input by the case's rule
        expected = {k: v for k, v in expected.items() if k not in ("width", "height")}
    assert call == {**expected, "seed": fact["seed"]}
    assert data["pipeline"] == fact["pipeline_class"]


def test_video_arguments_are_those_of_the_facts(pair: tuple[Case, dict[str, Any]]) -> None:
    case, fact = pair
    if case.source == "diffusers":
        return
    data = case.data()
    call = data["call"]
    for name in set(call) - {"images", "tiling", "guidance_scale"}:
        assert call[name] == fact[name], name
    assert data["code"]["commit"] == fact["code_commit"]
    assert data["code"]["repo"] == fact.get("code_repo")


def test_ltx_files_guiders_and_runtime_are_those_of_the_facts(pair: tuple[Case, dict[str, Any]]) -> None:
    case, fact = pair
    if case.source != "ltx":
        return
    data = case.data()
    checkpoint = data["checkpoint"]
    assert data["pipeline"] == fact["pipeline_class"]
    assert checkpoint["file"] == fact["checkpoint_file"]
    assert checkpoint.get("distilled_lora") == fact["distilled_lora_file"]
    assert checkpoint.get("spatial_upsampler") == fact["spatial_upsampler_file"]
    stages = [fact[f"distilled_lora_strength_stage_{stage}"] for stage in (1, 2)]
    assert checkpoint.get("distilled_lora_strengths", []) == [strength for strength in stages if strength is not None]
    images = [{k: v for k, v in image.items() if k != "input"} for image in data["call"].get("images", [])]
    assert images == [{k: v for k, v in image.items() if k != "url"} for image in fact["image_conditioning"]]
    tiling = fact["tiling"] and {k: v for k, v in fact["tiling"].items() if k != "name"}
    assert data["call"].get("tiling") == tiling
    runtime = data["runtime"]
    assert runtime["sdp_backends"] == fact["sdpa_backends"]
    assert (runtime["quantization"], runtime["decode_audio"]) == (fact["quantization"], fact["decode_audio"])


def test_a_file_is_fetched_for_every_file_that_a_case_names(catalogue: Catalogue) -> None:
    for name in OFFICIAL:
        data = catalogue.cases[name].data()
        named = [value for key, value in data.get("checkpoint", {}).items() if isinstance(value, str) and key != "kind"]
        assert set(named) <= set(data["model"]["files"])


def test_what_is_unknown_is_open_and_said(catalogue: Catalogue, facts: dict[str, Any]) -> None:
    assert all(catalogue.cases[name].spec.model.revision is None for name in OFFICIAL)  # type: ignore[union-attr]
    klein_base = catalogue.cases["flux_2_klein_base_image_t2i"]
    assert "guidance_scale" not in klein_base.data()["call"]
    assert "call.guidance_scale" in klein_base.spec.open
    assert "text_encoder.repo" in catalogue.cases["ltx_2_3_hq_pipeline"].spec.open


def test_upstreams_disagreements_are_in_notes(catalogue: Catalogue) -> None:
    notes = {name: " ".join(catalogue.cases[name].spec.notes) for name in OFFICIAL}
    assert "1024x1024" in notes["ltx_2_3_hq_pipeline"]
    assert "does not know this case" in notes["ltx_2_two_stage_t2v"]
    assert "0.87" in notes["zimage_image_t2i"]
    assert "writes no image" in notes["flux_2_klein_base_image_t2i"]


def test_cases_without_an_official_reference_are_listed_with_their_reason(catalogue: Catalogue) -> None:
    assert len(catalogue.unavailable) == 17
    assert not set(catalogue.unavailable) & set(OFFICIAL)
    assert all(reason.endswith(".") for reason in catalogue.unavailable.values())


@pytest.mark.parametrize(
    ("dtype", "refused"),
    [
        ({"default": "bf16", "vae": "fp32"}, None),
        ({"vae": "fp32"}, "a dtype named default"),
        ({"default": "int8"}, "'bf16', 'fp16' or 'fp32'"),
        ("int8", "'bf16', 'fp16' or 'fp32'"),
    ],
)
def test_a_dtype_is_one_or_one_by_component_with_a_default(dtype: object, refused: str | None) -> None:
    model = TypeAdapter(DiffusersRuntime)
    runtime = {
        "dtype": dtype,
        "generator_device": "cpu",
        "attention": "sdpa",
        "quantization": "none",
        "offload": "none",
    }
    if refused is None:
        assert model.validate_python(runtime).dtype == dtype
    else:
        with pytest.raises(ValidationError, match=refused):
            model.validate_python(runtime)
