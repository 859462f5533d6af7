"""The promises of the comparison: honest grades, measures as they are defined, and nothing that is passed over."""

from __future__ import annotations

import functools
import io
import json
import math
import os
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
from gt_judge.compare.report import junit, page
from gt_judge.compare.result import Comparison
from gt_judge.compare.thresholds import NoiseFloors
from gt_judge.errors import JudgeError
from gt_judge.published import Published
from gt_pictures.reading import decode
from tests.support import pictures, tiny_clip
from tests.support.pictures import added, encoded, scene

ONE, TWO = "one_1gpu.png", "two_1gpu.png"
FLOOR = {"hosts": ["a", "b"], "measured": "2026-03-01", "runs": 2, "ssim": 0.9, "psnr": 35.0, "mean_abs_diff": 3.0}


def compared(new: Path, published: Path | None = None, *, images_only: bool = True, **against: Any) -> Comparison:
    found = Against(published=Published(published) if published else None, **against)
    return compare(artifacts.read(new, images_only=images_only), found)


def told(comparison: Comparison) -> dict[str, Any]:
    """The result as JSON, by case."""
    return {case["name"]: case for case in comparison.as_json()["cases"]}


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


def test_the_noise_floors_that_we_ship_are_measured_ones_and_zero() -> None:
    shipped = [floor for kinds in thresholds.noise_floors().floors.values() for floor in kinds.values()]
    assert len(shipped) == 5
    assert all(floor.setting and "random weights of the architecture" in floor.setting for floor in shipped)
    assert {(floor.ssim, floor.psnr, floor.mean_abs_diff) for floor in shipped} == {(1, None, 0)}
    example = re.findall(r"^#   (.*)$", thresholds.NOISE_FLOOR.read_text(), re.M)
    floors_text = "version: 1\nfloors:\n" + "\n".join(f"  {line}" for line in example)
    assert NoiseFloors.model_validate(yaml.safe_load(floors_text)).of("flux_image_t2i", "h100")


def test_above_a_floor_of_zero_any_difference_is_a_change(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1)})
    zero = floors(one={"h100": FLOOR | {"ssim": 1, "psnr": None, "mean_abs_diff": 0}})
    pixels = np.array(scene(1))
    for change, grade in ((0, "identical"), (1, "changed")):
        pixels[0, 0] ^= change
        new = pictures.artifact(tmp_path / grade, {ONE: Image.fromarray(pixels)})
        found = compared(new, published, images_only=False, floors=zero)
        assert grades(found) == {"one": grade}
        assert bool(told(found)["one"]["files"][0]["beyond_noise_floor"]) == bool(change)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": ["a"]},
        {"hosts": ["a", "a"]},
        {"runs": 1},
        {"ssim": 2},
        {"ssim": math.nan},
        {"psnr": math.inf},
        {"mean_abs_diff": -1},
        {"lpips": 0.1},
    ],
)
def test_a_noise_floor_of_one_host_or_with_a_mistake_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = tmp_path / "floor.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "floors": {"one": {"h100": FLOOR | wrong}}}))
    with pytest.raises(
        JudgeError, match=rf"floor\.yaml is not what it should be:\nfloors\.one\.h100\.{next(iter(wrong))}"
    ):
        thresholds.noise_floors(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not what it should be"),
        ("just words", "is not what it should be"),
        ("[1, 2]", "is not what it should be"),
        ("version: 2\nfloors: {}", r"version: Input should be 1"),
        ("version: 1\nfloors: [one]", "floors: "),
        ("version: 1\nfloors: {one: {h100: 3}}", r"floors\.one\.h100: "),
        ("? [x, y] : 1", "is no YAML"),
        ("measured: 2026-13-45", "is no YAML: month must be in"),
        ("a: b: c", "is no YAML"),
        ("[" * 5000, "is no YAML"),
        ("\x00", "is no YAML"),
        (b"\xff\xfe\x00", "is no YAML"),
        (None, "cannot be read: it is no file"),
    ],
)
def test_a_noise_floor_file_of_another_shape_is_refused_in_words(
    tmp_path: Path, text: str | bytes | None, words: str
) -> None:
    file = tmp_path / "floor.yaml"
    if text is None:
        os.mkfifo(file)
    else:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(JudgeError, match=words):
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
    assert found.as_json()["missing"] == {"three_2gpu.png": "three"}
    assert found.renamed == {"old_1gpu.png": "renamed_1gpu.png"}
    assert found.as_json()["published_but_not_in_this_run"] == ["two_1gpu.png"]


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
    found = told(compared(new, published, serving=published))["one"]
    assert (found["grade"], found["engine_verdict"]) == ("changed", "failed")
    assert found["files"][0]["published"]["error"] == "320x256 px against 200x160 px"
    assert found["files"][0]["published"]["values"] == {}


def test_what_was_made_on_another_gpu_kind_is_compared_and_said(tmp_path: Path) -> None:
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)}, kind="h100")
    published = pictures.artifact(tmp_path / "published", {ONE: scene(1)}, kind="h200")
    found = compared(new, published, serving=published, images_only=False)
    (file,) = told(found)["one"]["files"]
    assert (file["grade"], file["engine_verdict"]) == ("identical", "passed")
    assert file["notes"] == ["made on h100, published on h200", "made on h100, the engine's on h200"]
    said = "made on h200, this artifact on h100 (files: 1); GPU kinds differ without a mistake"
    assert found.as_json()["other_kinds"] == [f"published: {said}", f"engine: {said}"]


@pytest.mark.parametrize("manifest", [None, "{}", "not JSON", '{"schema_version": 1, "run": "theirs"}'])
def test_an_engines_output_needs_no_manifest_and_may_have_one_of_its_own(tmp_path: Path, manifest: str | None) -> None:
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)}, kind="h100")
    serving = pictures.write(tmp_path / "serving", {ONE: scene(1)})
    if manifest is not None:
        (serving / "manifest.json").write_text(manifest)
    found = compared(new, serving=serving, images_only=False)
    assert told(found)["one"]["engine_verdict"] == "passed"
    assert found.as_json()["other_kinds"] == []


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


@given(PIXELS, PIXELS)
def test_the_measures_are_those_of_the_facts(new: Any, other: Any) -> None:
    values = similarity.colours(new, other)
    assert values["mean_abs_diff"] == pytest.approx(np.abs(new.astype(float) - other).mean())
    assert values["ssim"] == pytest.approx(structural_similarity(new, other, channel_axis=-1, data_range=255))
    error = ((new.astype(float) - other) ** 2).mean()
    assert values["psnr"] == (pytest.approx(10 * np.log10(255**2 / error)) if error else None)
    assert similarity.colours(new, new) == {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}


@pytest.mark.parametrize("size", [(1, 1), (6, 300), (300, 1)])
def test_the_same_images_are_identical_whatever_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    image = added(2)(Image.new("RGB", size, "grey"))
    same = pictures.write(tmp_path / "same", {ONE: image})
    found = compared(same, same, serving=same)
    assert (grades(found), found.same) == ({"one": "identical"}, True)
    other = pictures.write(tmp_path / "other", {ONE: Image.new("RGB", size, "black")})
    assert "less than the window of SSIM" in told(compared(other, same))["one"]["files"][0]["published"]["error"]


@pytest.mark.parametrize("content", [None, b"", b"no image", encoded(scene(1), ONE)[:-20]])
def test_what_is_no_image_is_not_new(tmp_path: Path, content: bytes | None) -> None:
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)})
    (new / ONE).unlink() if content is None else (new / ONE).write_bytes(content)
    found = compared(new, pictures.write(tmp_path / "published", {}), images_only=False)
    assert (grades(found), found.same) == ({"one": "changed"}, False)


def test_where_nothing_is_to_be_compared_nothing_passes(tmp_path: Path) -> None:
    full, empty = (pictures.write(tmp_path / name, files) for name, files in (("full", {ONE: scene(1)}), ("empty", {})))
    with pytest.raises(JudgeError, match=r"empty holds no image \(\.jpg, .*\); name the folder that does"):
        compared(empty, full, serving=full)
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)})
    manifest = json.loads((new / "manifest.json").read_text())
    (new / "manifest.json").write_text(json.dumps(manifest | {"cases": {}}))
    with pytest.raises(JudgeError, match="new holds no case"):
        compared(new, full, images_only=False)


@pytest.mark.parametrize(("kind", "grade"), [("h100", "within the noise floor"), ("h200", "changed")])
def test_the_noise_of_a_gpu_kind_excuses_no_image_of_another_one(tmp_path: Path, kind: str, grade: str) -> None:
    published = pictures.artifact(tmp_path / "published", {ONE: scene(1)}, kind="h100")
    new = pictures.artifact(tmp_path / "new", {ONE: added(3)(scene(1))}, kind=kind)
    floor = floors(one={"h100": FLOOR, "h200": FLOOR})
    assert grades(compared(new, published, images_only=False, floors=floor)) == {"one": grade}


def test_images_that_only_alpha_tells_apart_are_not_renamed(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1)})
    for alpha, grade in ((128, "new"), (255, "identical")):
        new = pictures.write(tmp_path / grade, {TWO: encoded(transparent(scene(1), alpha), TWO)})
        assert grades(compared(new, published)) == {"two": grade}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_network_that_gives_no_number_passes_nothing(tmp_path: Path, value: float) -> None:
    broken = Learned(None)
    broken._measures["clip"] = lambda *_: value
    new, engine = (pictures.write(tmp_path / str(by), {ONE: added(by)(scene(1))}) for by in (0, 1))
    with pytest.raises(JudgeError, match=f"clip came to {value}; fetch the weights in --models again"):
        compared(new, serving=engine, learned=broken)


@pytest.mark.parametrize(("sigma", "verdict"), [(1, "passed"), (40, "failed")])
def test_an_engines_output_passes_or_fails_by_the_cases_thresholds(tmp_path: Path, sigma: float, verdict: str) -> None:
    new = pictures.write(tmp_path / "new", {"flux_image_t2i_1gpu.png": scene(1)})
    engine = pictures.write(tmp_path / "engine", {"flux_image_t2i_1gpu.png": added(sigma)(scene(1))})
    found = compared(new, serving=engine)
    case = told(found)["flux_image_t2i"]
    assert (case["grade"], case["engine_verdict"], found.same) == (None, verdict, verdict == "passed")
    assert case["engine_thresholds"] == {"clip": 0.97, "ssim": 0.95, "psnr": 24.0, "mean_abs_diff": 5.5}
    failed = case["files"][0]["engine_failed"]
    assert [text.split()[0] for text in failed] == (["ssim", "psnr", "mean_abs_diff"] if verdict == "failed" else [])
    assert all(re.fullmatch(r"\w+ [\d.]+ [<>] [\d.]+", text) for text in failed)


def test_an_engines_files_are_found_by_name_and_what_is_left_is_said(tmp_path: Path) -> None:
    new = pictures.write(tmp_path / "new", {ONE: scene(1), TWO: scene(2)})
    engine = pictures.write(
        tmp_path / "engine", {"one_1gpu.jpg": encoded(scene(1), "x.jpg", 95), "spare.png": scene(3)}
    )
    found = compared(new, serving=engine)
    assert told(found)["one"]["files"][0]["notes"] == ["the engine's file is one_1gpu.jpg"]
    assert told(found)["two"]["engine_verdict"] == "missing"
    assert found.as_json()["extra_engine_files"] == ["spare.png"]


def transparent(image: Image.Image, alpha: int) -> Image.Image:
    copy = image.copy()
    copy.putalpha(alpha)
    return copy


@pytest.mark.parametrize(
    ("alpha", "grade", "verdict"),
    [(255, "identical", "passed"), (254, "changed", "passed"), (128, "changed", "failed")],
)
def test_transparency_counts_as_much_as_colours(tmp_path: Path, alpha: int, grade: str, verdict: str) -> None:
    new = pictures.write(tmp_path / "new", {ONE: transparent(scene(1), alpha)})
    opaque = pictures.write(tmp_path / "opaque", {ONE: scene(1)})
    floor = floors(one={"h100": FLOOR})
    found = told(compared(new, opaque, serving=opaque, floors=floor))["one"]
    assert (found["grade"], found["engine_verdict"]) == (grade, verdict)
    values = found["files"][0]["published"]["values"]
    assert values.get("alpha_diff", 0) == 255 - alpha


@pytest.mark.parametrize("names", [(ONE, "one_1gpu.webp"), ("one_1gpu.jpg", "one_1gpu.webp")])
def test_two_files_of_a_serving_engine_for_one_case_are_refused_by_name(tmp_path: Path, names: tuple[str, str]) -> None:
    new = pictures.write(tmp_path / "new", {ONE: scene(1), TWO: scene(2)})
    serving = pictures.write(tmp_path / "serving", {**dict.fromkeys(names, scene(1)), TWO: scene(2)})
    found = told(compared(new, serving=serving))
    assert {name: case["engine_verdict"] for name, case in found.items()} == {"one": "failed", "two": "passed"}
    words = f"{' and '.join(sorted(names))} are both there: leave one of them"
    assert found["one"]["files"][0]["engine_failed"] == [words]


@pytest.mark.parametrize("who", ["new", "published", "serving"])
def test_an_image_that_two_readers_see_differently_is_no_match(tmp_path: Path, who: str) -> None:
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(1).save(turned, "PNG", exif=exif)
    folders = {
        name: pictures.write(tmp_path / name, {ONE: turned.getvalue() if name == who else scene(1)})
        for name in ("new", "published", "serving")
    }
    found = told(compared(folders["new"], folders["published"], serving=folders["serving"]))["one"]
    assert found["grade"] == ("identical" if who == "serving" else "changed")
    assert found["engine_verdict"] == ("passed" if who == "published" else "failed")
    assert "EXIF orientation 6" in json.dumps(found)


@pytest.mark.parametrize(
    ("case", "kind", "source", "ssim"),
    [
        ("zimage_image_t2i", "h100", "h100", 0.86),
        ("zimage_image_t2i", "h100-pcie", "h100", 0.86),
        ("zimage_image_t2i", "5090", "5090", 0.86),
        ("flux_image_t2i", "5090", "h100", 0.95),  # the overlay has no line of its own
        ("flux_image_t2i", "mi300x", "h100", 0.95),  # a kind without an overlay
        ("flux_image_t2i", None, "h100", 0.95),
        ("fsdp-inference", "b60", "b60", 0.6),
        ("fsdp-inference", "gfx1250", "h100", 0.95),
        ("a_case_of_my_own", "5090", "the defaults", 0.95),
    ],
)
def test_thresholds_are_those_of_the_platform_over_h100s(case: str, kind: str | None, source: str, ssim: float) -> None:
    bounds, name = thresholds.serving_thresholds().of(case, kind, video=False)
    assert name.startswith(source)
    assert bounds.ssim == ssim


@pytest.mark.parametrize(
    ("option", "manifest", "used"), [("5090", None, "5090"), (None, "5090", "5090"), (None, None, "h100")]
)
def test_a_pair_is_judged_by_the_platform_of_the_engines_output_and_the_report_says_which(
    tmp_path: Path, option: str | None, manifest: str | None, used: str
) -> None:
    case = "zimage_image_t2i"
    new = pictures.write(tmp_path / "new", {f"{case}_1gpu.png": scene(1)})
    make = pictures.write if manifest is None else functools.partial(pictures.artifact, kind=manifest)
    engine = make(tmp_path / "engine", {f"{case}_1gpu.png": scene(1)})
    found = compared(new, serving=engine, serving_kind=option)
    assert told(found)[case]["engine_thresholds_from"].startswith(f"{used} ({used}.json at ")
    page.write(found, tmp_path / "report.html")
    assert f"thresholds: {used} ({used}.json at " in (tmp_path / "report.html").read_text()


def test_a_learned_measure_that_is_not_taken_says_why(tmp_path: Path) -> None:
    new = pictures.write(tmp_path / "new", {ONE: scene(1)})
    none = compared(new, serving=new).as_json()["not_measured"]
    assert none == dict.fromkeys(("clip", "lpips"), "no folder of models was given (--models)")
    empty = compared(new, serving=new, learned=Learned(tmp_path)).as_json()["not_measured"]
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
    found = compared(new, serving=engine, learned=Learned(models))
    assert found.not_measured == {}
    one, two = (told(found)[name]["files"][0]["engine"]["values"] for name in ("one", "two"))
    assert (one["clip"], one["lpips"]) == (1.0, 0.0)
    assert -1 <= two["clip"] < 1
    assert two["lpips"] > 0
    same = Learned(models).measure(*[pictures_of(images[TWO])] * 2)
    assert same == {"clip": pytest.approx(1, abs=1e-5), "lpips": pytest.approx(0, abs=1e-6)}


def pictures_of(image: Image.Image) -> Any:
    return decode(encoded(image, ONE), ONE)


def test_the_junit_file_has_a_failure_for_each_case_that_is_not_as_it_was(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1), TWO: scene(2)})
    new = pictures.write(tmp_path / "new", {ONE: scene(1), TWO: added(30)(scene(2))})
    junit.write(compared(new, published, serving=published), tmp_path / "junit.xml")
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


CONTROL = "no\x1b[2J\x00\x7f\u202e\ud800 & <b>memory</b>\nfor it"


def test_control_characters_reach_no_file_of_the_result(tmp_path: Path) -> None:
    new = pictures.artifact(tmp_path / "new", {ONE: scene(1)})
    manifest = json.loads((new / "manifest.json").read_text())
    manifest["cases"]["two"] = {"status": "failed", "reason": CONTROL, "source": "diffusers", "case": {}, "files": []}
    (new / "manifest.json").write_text(json.dumps(manifest))
    found = compared(new, new, images_only=False)
    junit.write(found, tmp_path / "junit.xml")
    page.write(found, tmp_path / "report.html")
    for file in ("junit.xml", "report.html"):
        text = (tmp_path / file).read_text()
        assert not set(text) & set("\x1b\x00\x7f\u202e\ud800"), file
        assert r"no\x1b[2J\x00\x7f\u202e\ud800 &amp; &lt;b&gt;memory&lt;/b&gt;" in text, file
    assert JUnitXml.fromfile(str(tmp_path / "junit.xml"))


@settings(max_examples=5)
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
    assert str(tmp_path) not in json.dumps(compared(new, published, images_only=False, serving=published).as_json())
