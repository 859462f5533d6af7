"""The promises of the comparison: honest grades, measures as they are defined, and nothing that is passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from junitparser import JUnitXml
from PIL import Image
from skimage.metrics import structural_similarity

from gt_judge import artifact as artifacts
from gt_judge.compare import learned, similarity, thresholds
from gt_judge.compare.compare import Against, compare
from gt_judge.compare.learned import Learned
from gt_judge.compare.report import junit
from gt_judge.compare.result import Comparison
from gt_judge.compare.thresholds import NoiseFloors
from gt_judge.published import Published
from gt_runner.errors import RunnerError
from tests.conftest import SHARED
from tests.support import pictures, tiny_clip
from tests.support.pictures import added, encoded, scene

ONE, TWO = "one_1gpu.png", "two_1gpu.png"
FLOOR = {"hosts": ["a", "b"], "measured": "2026-03-01", "runs": 2, "ssim": 0.9, "psnr": 35.0, "mean_abs_diff": 3.0}


def compared(new: Path, published: Path | None = None, *, images_only: bool = True, **against: Any) -> Comparison:
    found = Against(published=Published(published) if published else None, **against)
    return compare(artifacts.read(new, images_only=images_only), found)


def told(comparison: Comparison) -> dict[str, Any]:
    """The result as JSON, by case."""
    return {case["name"]: case for case in comparison.told()["cases"]}


def floors(**cases: Mapping[str, Any]) -> NoiseFloors:
    text = yaml.safe_dump({"version": 1, "floors": {name: dict(kinds) for name, kinds in cases.items()}})
    return NoiseFloors.model_validate(yaml.safe_load(text))


def grades(comparison: Comparison) -> dict[str, str | None]:
    return {case.name: case.grade for case in comparison.cases}


def test_the_same_bytes_and_the_same_pixels_are_identical(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1), TWO: scene(2)})
    new = pictures.write(tmp_path / "new", {ONE: scene(1)})
    scene(2).save(new / TWO, compress_level=0)
    found = compared(new, published)
    assert set(grades(found).values()) == {"identical"}
    assert [told(found)[name]["files"][0]["published"]["identical"] for name in ("one", "two")] == ["bytes", "pixels"]
    assert told(found)["two"]["files"][0]["published"]["values"] == {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}
    assert found.same


def test_without_a_noise_floor_there_is_no_middle_grade(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1)})
    pixels = np.array(scene(1))
    pixels[0, 0] ^= 1
    found = compared(pictures.write(tmp_path / "new", {ONE: Image.fromarray(pixels)}), published)
    assert grades(found) == {"one": "changed"}
    assert not found.same


@pytest.mark.parametrize(
    ("kind", "sigma", "grade"),
    [("h100", 3, "within the noise floor"), ("h200", 3, "changed"), ("h100", 12, "changed")],
)
def test_the_noise_floor_of_the_case_and_the_gpu_kind_gives_the_middle_grade(
    tmp_path: Path, kind: str, sigma: float, grade: str
) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1)})
    new = pictures.artifact(tmp_path / "new", {ONE: added(sigma)(scene(1))}, kind=kind)
    found = compared(new, published, images_only=False, floors=floors(one={"h100": FLOOR}))
    assert grades(found) == {"one": grade}
    assert bool(told(found)["one"]["files"][0]["beyond_noise_floor"]) == (sigma == 12)


def test_the_noise_floor_that_we_ship_claims_nothing() -> None:
    assert thresholds.noise_floors().floors == {}
    example = re.findall(r"^#   (.*)$", thresholds.NOISE_FLOOR.read_text(), re.M)
    floors_text = "version: 1\nfloors:\n" + "\n".join(f"  {line}" for line in example)
    assert NoiseFloors.model_validate(yaml.safe_load(floors_text)).of("flux_image_t2i", "h100")


@pytest.mark.parametrize(
    "wrong",
    [{"hosts": ["a"]}, {"hosts": ["a", "a"]}, {"runs": 1}, {"ssim": 2}, {"mean_abs_diff": -1}, {"lpips": 0.1}],
)
def test_a_noise_floor_of_one_host_or_with_a_mistake_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = tmp_path / "floor.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "floors": {"one": {"h100": FLOOR | wrong}}}))
    with pytest.raises(
        RunnerError, match=rf"floor\.yaml is not what it should be:\nfloors\.one\.h100\.{next(iter(wrong))}"
    ):
        thresholds.noise_floors(file)


def test_a_floor_is_met_by_the_pair_that_it_was_measured_on(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1)})
    new = pictures.artifact(tmp_path / "new", {ONE: added(5)(scene(1))})
    values = told(compared(new, published, images_only=False))["one"]["files"][0]["published"]["values"]
    measured = floors(one={"h100": FLOOR | values})
    assert grades(compared(new, published, images_only=False, floors=measured)) == {"one": "within the noise floor"}


def test_missing_new_renamed_and_unselected_files_are_said(tmp_path: Path) -> None:
    scenes = {name: scene(seed) for seed, name in enumerate("abcd")}
    published = pictures.write(
        tmp_path / "published",
        {
            "one_1gpu.png": scenes["a"],
            "two_1gpu.png": scenes["b"],
            "old_1gpu.png": scenes["c"],
            "three_2gpu.png": scenes["d"],
        },
    )
    new = pictures.artifact(
        tmp_path / "new",
        {
            "one_1gpu.png": scenes["a"],
            "fresh_1gpu.png": scene(9),
            "renamed_1gpu.png": scenes["c"],
            "three_1gpu.png": scene(8),
        },
    )
    found = compared(new, published, images_only=False)
    assert grades(found) == {"three": "missing", "fresh": "new", "one": "identical", "renamed": "identical"}
    assert found.told()["missing"] == {"three_2gpu.png": "three"}
    assert found.renamed == {"old_1gpu.png": "renamed_1gpu.png"}
    assert found.told()["published_but_not_in_this_run"] == ["two_1gpu.png"]


def test_a_case_that_failed_is_missing_with_its_reason(tmp_path: Path) -> None:
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)})
    manifest = json.loads((new / "manifest.json").read_text())
    manifest["cases"]["bad"] = {"status": "failed", "reason": "out of memory", "files": [], "case": {}, "source": "x"}
    (new / "manifest.json").write_text(json.dumps(manifest))
    case = compared(new, pictures.write(tmp_path / "published", {ONE: scene(1)}), images_only=False).cases[0]
    assert (case.name, case.grade, case.why_missing) == ("bad", "missing", ["failed: out of memory"])


def test_images_of_different_shapes_are_an_error_and_never_resized(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1, (200, 160))})
    new = pictures.write(tmp_path / "new", {ONE: scene(1)})
    found = told(compared(new, published, engine=published))["one"]
    assert (found["grade"], found["engine_verdict"]) == ("changed", "failed")
    assert found["files"][0]["published"]["error"] == "320x256 px against 200x160 px"
    assert found["files"][0]["published"]["values"] == {}


def test_what_was_made_on_another_gpu_kind_is_compared_and_said(tmp_path: Path) -> None:
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)}, kind="h100")
    published = pictures.artifact(tmp_path / "published", {ONE: scene(1)}, kind="h200")
    (file,) = told(compared(new, published, images_only=False))["one"]["files"]
    assert (file["grade"], file["notes"]) == ("identical", ["made on h100, published on h200"])


def test_the_arguments_and_the_environment_that_changed_are_named(tmp_path: Path) -> None:
    passed = {"prompt": "a cat", "width": 320, "guidance_scale": 3.5}
    published = pictures.artifact(tmp_path / "published", {ONE: scene(1)}, passed=passed, versions={"torch": "2.11.0"})
    changed = passed | {"guidance_scale": 4.0}
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)}, passed=changed, versions={"torch": "2.12.0"})
    changes = told(compared(new, published, images_only=False))["one"]["changes"]
    assert changes["arguments"] == [{"key": "passed.guidance_scale", "published": 3.5, "new": 4.0}]
    assert changes["environment"] == [{"key": "versions.torch", "published": "2.11.0", "new": "2.12.0"}]


def test_the_worst_case_comes_first(tmp_path: Path) -> None:
    sigmas = {"mild": 2, "same": 0, "bad": 40, "middling": 10}
    scenes = {f"{name}_1gpu.png": scene(seed) for seed, name in enumerate(sigmas)}
    new = {name: added(sigma)(image) for sigma, (name, image) in zip(sigmas.values(), scenes.items(), strict=True)}
    found = compared(pictures.write(tmp_path / "new", new), pictures.write(tmp_path / "published", scenes))
    assert [case.name for case in found.cases] == ["bad", "middling", "mild", "same"]


PIXELS = arrays.arrays(np.uint8, (12, 9, 3))


@settings(deadline=None, max_examples=50)
@given(PIXELS, PIXELS)
def test_the_measures_are_those_of_the_facts(new: Any, other: Any) -> None:
    values = similarity.measure(new, other)
    assert values["mean_abs_diff"] == pytest.approx(np.abs(new.astype(float) - other).mean())
    assert values["ssim"] == pytest.approx(structural_similarity(new, other, channel_axis=-1, data_range=255))
    error = ((new.astype(float) - other) ** 2).mean()
    assert values["psnr"] == (pytest.approx(10 * np.log10(255**2 / error)) if error else None)
    assert similarity.measure(new, new) == {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}


@pytest.mark.parametrize(("sigma", "verdict"), [(1, "passed"), (40, "failed")])
def test_an_engines_output_passes_or_fails_by_the_cases_thresholds(tmp_path: Path, sigma: float, verdict: str) -> None:
    new = pictures.write(tmp_path / "new", {"flux_image_t2i_1gpu.png": scene(1)})
    engine = pictures.write(tmp_path / "engine", {"flux_image_t2i_1gpu.png": added(sigma)(scene(1))})
    found = compared(new, engine=engine)
    case = told(found)["flux_image_t2i"]
    assert (case["grade"], case["engine_verdict"], found.same) == (None, verdict, verdict == "passed")
    assert case["engine_thresholds"] == {"clip": 0.97, "ssim": 0.95, "psnr": 30.0, "mean_abs_diff": 4.0}
    failed = case["files"][0]["engine_failed"]
    assert [text.split()[0] for text in failed] == (["ssim", "psnr", "mean_abs_diff"] if verdict == "failed" else [])
    assert all(re.fullmatch(r"\w+ [\d.]+ [<>] [\d.]+", text) for text in failed)


def test_an_engines_files_are_found_by_name_and_what_is_left_is_said(tmp_path: Path) -> None:
    new = pictures.write(tmp_path / "new", {ONE: scene(1), TWO: scene(2)})
    engine = pictures.write(
        tmp_path / "engine", {"one_1gpu.jpg": encoded(scene(1), "x.jpg", 95), "spare.png": scene(3)}
    )
    found = compared(new, engine=engine)
    assert told(found)["one"]["files"][0]["notes"] == ["the engine's file is one_1gpu.jpg"]
    assert told(found)["two"]["engine_verdict"] == "missing"
    assert found.told()["extra_engine_files"] == ["spare.png"]


def test_the_engines_thresholds_are_those_of_the_facts() -> None:
    path = SHARED / "facts" / "upstream.md"
    if not path.is_file():
        pytest.skip(f"the facts that the thresholds are compared with are not here: {path}")
    rows = re.findall(
        r"^\| (\w[\w.]+) \| ([\d.]+\*?) \| ([\d.]+\*?) \| ([\d.]+\*?) \| ([\d.]+\*?) \| [\d.]+ \|$",
        path.read_text(),
        re.M,
    )
    assert len(rows) == 17
    for case, *limits_ in rows:
        expected = dict(
            zip(("clip", "ssim", "psnr", "mean_abs_diff"), (float(each.rstrip("*")) for each in limits_), strict=True)
        )
        assert thresholds.engine_thresholds().of(case, video=False).bounds() == expected, case
    video = {"clip": 0.9, "ssim": 0.92, "psnr": 24.0, "mean_abs_diff": 10.0}
    assert thresholds.engine_thresholds().of("other", video=True).bounds() == video


def test_a_learned_measure_that_is_not_taken_says_why(tmp_path: Path) -> None:
    new = pictures.write(tmp_path / "new", {ONE: scene(1)})
    none = compared(new, engine=new).told()["not_measured"]
    assert none == dict.fromkeys(("clip", "lpips"), "no folder of models was given (--models)")
    empty = compared(new, engine=new, learned=Learned(tmp_path)).told()["not_measured"]
    assert empty["clip"] == f"the folder of models holds no {learned.CLIP_MODEL}"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the learned measures: a tiny CLIP, and AlexNet as torchvision names it."""
    folder = tiny_clip.write(tmp_path_factory.mktemp("models"))
    weights = folder / learned.LPIPS_WEIGHTS
    weights.parent.mkdir(parents=True)
    torch.save(torchvision.models.alexnet().state_dict(), weights)
    return folder


def test_clip_and_lpips_are_taken_where_their_weights_are_at_hand(models: Path, tmp_path: Path) -> None:
    images = {ONE: scene(1), TWO: scene(2)}
    new = pictures.write(tmp_path / "new", images)
    engine = pictures.write(tmp_path / "engine", {ONE: scene(1), TWO: added(60)(scene(2))})
    found = compared(new, engine=engine, learned=Learned(models))
    assert found.not_measured == {}
    one, two = (told(found)[name]["files"][0]["engine"]["values"] for name in ("one", "two"))
    assert (one["clip"], one["lpips"]) == (1.0, 0.0)
    assert -1 <= two["clip"] < 1
    assert two["lpips"] > 0
    same = Learned(models).measure(*[pictures_of(images[TWO])] * 2)
    assert same == {"clip": pytest.approx(1, abs=1e-5), "lpips": pytest.approx(0, abs=1e-6)}


def pictures_of(image: Image.Image) -> Any:
    from gt_judge.pictures import decode  # noqa: PLC0415

    return decode(encoded(image, ONE))


def test_the_junit_file_has_a_failure_for_each_case_that_is_not_as_it_was(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1), TWO: scene(2)})
    new = pictures.write(tmp_path / "new", {ONE: scene(1), TWO: added(30)(scene(2))})
    junit.write(compared(new, published, engine=published), tmp_path / "junit.xml")
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(tmp_path / "junit.xml"))}
    assert {name: (suite.tests, suite.failures) for name, suite in suites.items()} == {
        "against published GT": (2, 1),
        "engine's output against GT": (2, 1),
    }
    (failed,) = (case for case in suites["against published GT"] if case.result)
    assert failed.name == "two"
    assert re.match(
        r"two_1gpu\.png: changed: ssim 0\.\d+, psnr [\d.]+, mean_abs_diff [\d.]+$", failed.result[0].message
    )


@settings(deadline=None, max_examples=5)
@given(st.binary(max_size=40))
def test_a_file_that_is_no_image_is_an_error_of_its_case_alone(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("broken")
    published = pictures.write(folder / "published", {ONE: scene(1, (32, 32)), TWO: scene(2, (32, 32))})
    new = pictures.write(folder / "new", {ONE: data, TWO: scene(2, (32, 32))})
    found = compared(new, published)
    assert grades(found) == {"one": "changed", "two": "identical"}
    assert "unreadable" in str(told(found)["one"]["files"][0]["published"]["error"])


def test_the_result_names_no_path_of_this_machine(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: b"broken", TWO: scene(1)})
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1), TWO: scene(1)})
    (new / ONE).unlink()
    assert str(tmp_path) not in json.dumps(compared(new, published, images_only=False, engine=published).told())
