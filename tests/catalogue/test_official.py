"""Our catalogue against the checked facts: every parameter of every official case, one by one."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ci.catalogue.files import Catalogue, load
from ci.catalogue.model import Case
from ci.catalogue.official import DiffusersRuntime, Wan22Case
from ci.catalogue.selection import Selection, select
from tests.support.checkout import sglang_checkout
from tests.support.factory import merged

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
OFFICIAL = [case.id for case in select(load(), Selection(official=True))]  # what a run makes that names nothing else
WAN22 = ["wan2_2_ti2v_5b", "wan2_2_ti2v_5b_t2v"]


@pytest.fixture(params=OFFICIAL)
def pair(request: pytest.FixtureRequest, catalogue: Catalogue, facts: dict[str, Any]) -> tuple[Case, dict[str, Any]]:
    """An official case, and what the facts say of it."""
    return catalogue.cases[request.param], facts[request.param]


def test_a_run_of_the_official_cases_makes_just_those_of_the_facts(facts: dict[str, Any]) -> None:
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
    assert len(catalogue.unavailable) == 16
    assert not set(catalogue.unavailable) & set(OFFICIAL)
    assert all(reason.endswith(".") for reason in catalogue.unavailable.values())


def test_what_upstreams_matrix_does_not_have_is_made_by_name_alone(catalogue: Catalogue) -> None:
    official = [name for name, case in catalogue.cases.items() if case.official]
    assert [name for name in official if name not in OFFICIAL] == WAN22
    for named in (Selection(True, source_group="wan22"), Selection(True, tuple(WAN22))):
        assert [case.id for case in select(catalogue, named)] == WAN22


def test_wan22_is_asked_what_the_native_case_asks(catalogue: Catalogue) -> None:
    official, native = catalogue.cases[WAN22[0]].data(), catalogue.native[WAN22[0]].data()
    asked = native["definition"]["default_sampling_params"]["TI2V"]
    assert official["call"]["prompt"] == asked["prompt"]
    assert [each["url"] for each in official["inputs"]] == [asked["image_path"]]
    assert f"{official['model']['repo']}-Diffusers" == native["model"]["repo"]
    assert official["output"]["name_gpus"] == native["output"]["name_gpus"]


def defaults(path: Path, *classes: str) -> dict[str, Any]:
    """The plain defaults of the fields of classes, read off their source."""
    nodes = [each for each in ast.parse(path.read_text()).body if isinstance(each, ast.ClassDef)]
    fields = [field for name in classes for each in nodes if each.name == name for field in each.body]
    return {
        ast.unparse(field.target): ast.literal_eval(field.value)
        for field in fields
        if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Constant)
    }


def test_wan22_is_asked_what_upstreams_generator_takes_from_sglang(catalogue: Catalogue) -> None:
    configs = Path("python/sglang/multimodal_gen/configs")
    sampling, pipeline = configs / "sample" / "wan.py", configs / "pipeline_configs" / "wan.py"
    root = sglang_checkout(sampling, pipeline)
    asked = defaults(root / sampling, "Wan2_2_Base_SamplingParams", "Wan2_2_TI2V_5B_SamplingParam")
    data = catalogue.cases[WAN22[0]].data()
    call = data["call"]
    assert call["max_area"] == asked["width"] * asked["height"]
    assert data["output"]["fps"] == asked["fps"] == 24
    assert call["num_frames"] == asked["fps"] // 4 * 4 + 1  # a second, rounded as WanI2VCommonConfig.adjust_num_frames
    assert call["flow_shift"] == defaults(root / pipeline, "Wan2_2_TI2V_5B_Config")["flow_shift"]
    for name in ("negative_prompt", "num_inference_steps", "guidance_scale"):
        assert call[name] == asked[name], name


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (WAN22[0], {"width": 1280, "height": 704}, "call.max_area and nothing else of the size"),
        (WAN22[0], {"max_area": None}, "call.max_area and nothing else of the size"),
        (WAN22[1], {"max_area": 901120}, "call.width and call.height, and no max_area"),
        (WAN22[1], {"height": None}, "call.width and call.height, and no max_area"),
        (WAN22[1], {"height": 720}, "multiples of 32, which Wan2.2 needs; call.height 720"),
    ],
)
def test_a_video_of_wan22_is_sized_by_the_image_or_by_the_case(
    name: str, change: dict[str, int | None], expected: str, catalogue: Catalogue
) -> None:
    data = catalogue.cases[name].spec.model_dump(mode="json", exclude_unset=True)
    data["call"] = merged(data["call"], change)
    with pytest.raises(ValidationError, match=expected):
        Wan22Case.model_validate(data)


def test_wan22_takes_one_image(catalogue: Catalogue) -> None:
    data = catalogue.cases[WAN22[0]].spec.model_dump(mode="json", exclude_unset=True)
    with pytest.raises(ValidationError, match="inputs"):
        Wan22Case.model_validate(data | {"inputs": data["inputs"] * 2})


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
