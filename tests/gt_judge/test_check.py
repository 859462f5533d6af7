"""The promises of the quality gate: what is sound passes, whatever was spoilt does not, and each line says why."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from gt_judge import artifact as artifacts
from gt_judge.check import quality, rules
from gt_judge.check.check import check
from gt_judge.errors import JudgeError
from gt_judge.published import Published
from gt_pictures.reading import decode
from tests.conftest import SHARED
from tests.support import pictures
from tests.support.odd_pictures import ODD
from tests.support.pictures import SPOILT_AGAINST_PUBLISHED, SPOILT_ALONE, Spoil, encoded, scene

GT = SHARED / "gt"
SETS = ("official_generated", "sglang_generated")
ONE = "one_1gpu.png"


def judged(folder: Path, published: Path | None = None, *, images_only: bool = False) -> dict[str, Any]:
    artifact = artifacts.read(folder, images_only=images_only)
    return check(artifact, Published(published) if published else None)


def problem(folder: Path, published: Path | None = None, *, images_only: bool = True) -> str:
    """What is wrong with the only file of a directory."""
    found = judged(folder, published, images_only=images_only)
    (line,) = found["bad"] or ["-: nothing"]
    return str(line).partition(": ")[2]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return pictures.artifact(tmp_path / "gt", {ONE: scene(1), "two_1gpu.jpg": scene(2)})


def test_a_sound_artifact_passes_and_every_metric_of_each_file_is_told(sound: Path) -> None:
    found = judged(sound)
    assert (found["ok"], found["bad"], found["images"]) == (True, [], 2)
    alone = {"luminance_std", "entropy", "blur_residual", "gradient_p95", "neighbour_correlation"}
    assert all(alone <= file["metrics"].keys() for file in found["files"].values())
    assert found["metrics"].keys() >= found["files"][ONE]["metrics"].keys()
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("name", SPOILT_ALONE)
def test_a_spoilt_image_is_refused_with_metric_value_and_limit(tmp_path: Path, name: str) -> None:
    rule, spoil = SPOILT_ALONE[name]
    for file in (ONE, "one_1gpu.jpg"):
        line = problem(pictures.write(tmp_path / file, {file: spoil(scene(1))}))
        assert re.search(rf"({rule}): \w+ [-\d.e+]+ [<>] [-\d.]+", line), line


@pytest.mark.parametrize("name", SPOILT_AGAINST_PUBLISHED)
def test_what_only_the_published_image_can_tell_is_refused(tmp_path: Path, name: str) -> None:
    rule, spoil = SPOILT_AGAINST_PUBLISHED[name]
    published = pictures.write(tmp_path / "published", {ONE: scene(1), "two_1gpu.png": scene(2)})
    new = pictures.write(tmp_path / "new", {ONE: spoil(scene(1))})
    line = problem(new, published)
    assert re.search(rule, line), line


def test_swapped_files_are_named_with_what_they_look_like(tmp_path: Path) -> None:
    scenes = {f"{word}_1gpu.png": scene(seed) for seed, word in enumerate(("one", "two", "three"))}
    published = pictures.write(tmp_path / "published", scenes)
    one, two, three = scenes
    new = pictures.write(tmp_path / "new", {one: scenes[two], two: scenes[one], three: scenes[three]})
    found = judged(new, published, images_only=True)
    assert len(found["bad"]) == 2
    assert "swapped with another file (it looks like two_1gpu.png)" in found["bad"][0]
    assert "(it looks like one_1gpu.png)" in found["bad"][1]


def test_an_image_of_a_case_that_was_not_run_is_found_too(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1), "two_1gpu.png": scene(2)})
    assert "it looks like two_1gpu.png" in problem(pictures.write(tmp_path / "new", {ONE: scene(2)}), published)


def test_another_picture_than_the_published_one_has_drifted(tmp_path: Path) -> None:
    published = pictures.write(tmp_path / "published", {ONE: scene(1)})
    negative = pictures.from_array(255 - np.asarray(scene(1)))
    line = problem(pictures.write(tmp_path / "new", {ONE: negative}), published)
    assert re.search(r"drifted: global_ssim -0\.\d+ < 0\.2, mean_abs_diff \d+(\.\d)? > 45", line), line


def damaged(folder: Path, how: str) -> None:
    file = folder / ONE
    match how:
        case "changed":
            file.write_bytes(encoded(scene(3), ONE))
        case "missing":
            file.unlink()
        case "stale":
            (folder / "three_1gpu.png").write_bytes(file.read_bytes())
        case "stale folder":
            (folder / "h100").mkdir()
        case "not named":
            manifest = json.loads((folder / "manifest.json").read_text())
            manifest["cases"]["one"]["case"]["output"]["name_gpus"] = 2
            (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("changed", r"one_1gpu\.png: changed: sha256 [0-9a-f]{12}…, the manifest says [0-9a-f]{12}…"),
        ("missing", r"one_1gpu\.png: missing: the manifest names it"),
        ("stale", r"three_1gpu\.png: stale: it is in no manifest"),
        ("stale folder", r"h100: stale: it is in no manifest"),
        ("not named", r"one_2gpu\.png: missing: case one makes it, and the manifest does not name it"),
    ],
)
def test_a_file_that_is_not_as_the_manifest_says_is_named(sound: Path, how: str, line: str) -> None:
    damaged(sound, how)
    assert [found for found in judged(sound)["bad"] if re.fullmatch(line, found)]


def test_a_wrong_size_is_told_by_manifest_by_call_and_by_published_image(tmp_path: Path) -> None:
    folder = pictures.artifact(tmp_path / "gt", {ONE: scene(1)})
    small = scene(1, (160, 128))
    (folder / ONE).write_bytes(encoded(small, ONE))
    published = pictures.write(tmp_path / "published", {ONE: scene(1)})
    line = problem(folder, published, images_only=False)
    for who in ("the manifest says 320x256", "the case's call asks for 320x256", "the published one has 320x256"):
        assert f"wrong size: 160x128, {who}" in line


@pytest.mark.parametrize(
    ("mode", "words"),
    [("L", "greyscale"), ("P", "a palette"), ("CMYK", "CMYK"), ("RGBA", "wrong mode: RGBA, allowed: RGB")],
)
def test_an_official_image_is_rgb(tmp_path: Path, mode: str, words: str) -> None:
    name = "one_1gpu.jpg" if mode == "CMYK" else ONE
    folder = pictures.artifact(tmp_path / "gt", {name: scene(1).convert(mode)})
    assert words in problem(folder, images_only=False)


def test_a_native_engine_may_publish_layers_with_alpha(tmp_path: Path) -> None:
    folder = pictures.artifact(tmp_path / "gt", {ONE: scene(1).convert("RGBA")}, source="sglang")
    assert judged(folder)["ok"]


def test_a_format_that_is_not_the_names_is_told(tmp_path: Path) -> None:
    folder = pictures.write(tmp_path, {ONE: encoded(scene(1), "one.jpg")})
    assert problem(folder) == "wrong format: JPEG, the name says PNG"


@pytest.mark.parametrize("name", ODD)
def test_an_image_that_is_not_plain_rgb_is_refused_by_name(tmp_path: Path, name: str) -> None:
    file, data, words = ODD[name]
    assert re.search(f"not plain RGB: .*{words}", problem(pictures.write(tmp_path, {file: data})))


def test_two_images_of_one_case_are_refused_by_name(tmp_path: Path) -> None:
    folder = pictures.write(tmp_path, {ONE: scene(1), "one_1gpu.jpg": scene(1), "two_1gpu.png": scene(2)})
    words = "ambiguous: one_1gpu.jpg and one_1gpu.png are both there: leave one of them"
    assert judged(folder, images_only=True)["bad"] == [f"one_1gpu.jpg: {words}", f"{ONE}: {words}"]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_file_of_the_manifest_that_is_no_file_is_refused(sound: Path, make: Callable[[Path], None]) -> None:
    (sound / ONE).unlink()
    make(sound / ONE)
    assert judged(sound)["bad"] == [f"{ONE}: unreadable: it is no regular file"]


def test_a_file_name_with_control_characters_is_shown_without_them(sound: Path) -> None:
    (sound / "a\x1b[2J\u202e.png").touch()
    (sound / os.fsdecode(b"b\xff.png")).touch()
    assert judged(sound)["bad"] == [
        r"a\x1b[2J\u202e.png: stale: it is in no manifest",
        r"b\udcff.png: stale: it is in no manifest",
    ]


@pytest.mark.parametrize("source", ["smoke", "diffusers"])
def test_a_blob_is_refused_whatever_made_it(tmp_path: Path, source: str) -> None:
    blob = {ONE: pictures.blurred(12)(scene(1))}
    assert not judged(pictures.artifact(tmp_path / "gt", blob, source=source))["ok"]


@pytest.mark.parametrize(
    ("place", "kind", "why"),
    [
        ("", "h100", None),
        ("h100", "h100", None),
        ("", "h200", "the published one was made on h100, this one on h200"),
        ("h200", "h100", "nothing is published under this name"),
    ],
)
def test_a_reference_is_of_the_same_gpu_kind_or_the_file_is_unreferenced(
    tmp_path: Path, place: str, kind: str, why: str | None
) -> None:
    needs = {"id": "one", "needs": {"gpu": "h100"}, "call": {}}
    folder = pictures.artifact(tmp_path / "gt", {ONE: scene(1)}, kind=kind, case=needs)
    pictures.write(tmp_path / "published" / place, {ONE: scene(1)})
    told = judged(folder, tmp_path / "published")["files"][ONE]["reference"]
    assert told == ({"state": "published"} if why is None else {"state": "unreferenced", "why": why})


def test_a_published_manifest_says_what_its_images_were_made_on(tmp_path: Path) -> None:
    folder = pictures.artifact(tmp_path / "gt", {ONE: scene(1)}, kind="h100")
    published = pictures.artifact(tmp_path / "published", {ONE: scene(1)}, kind="h200")
    assert judged(folder, published)["unreferenced"] == 1


@pytest.mark.parametrize("file", ["official/h100/a_1gpu.png", "objects/pack/one.pack", "notes.txt", "h100/notes.txt"])
def test_a_folder_that_holds_other_things_than_gt_is_not_taken_for_published_gt(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(JudgeError, match=r"holds no published GT, .*name the folder that does"):
        Published(tmp_path)


@pytest.mark.parametrize(
    "file", ["a_1gpu.png", "h100/a_1gpu.jpg", "manifest.json", "h100/manifest.json", ".git/HEAD", "README.md", None]
)
def test_published_gt_may_be_images_a_manifest_or_nothing_yet(tmp_path: Path, file: str | None) -> None:
    if file is not None:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert Published(tmp_path).folder == tmp_path


def test_without_published_gt_nothing_more_is_promised_than_was_looked_for(sound: Path) -> None:
    found = judged(sound)
    assert found["unreferenced"] == 2
    assert found["files"][ONE]["reference"]["why"] == "no published GT was given"
    assert "shift_gain" not in found["files"][ONE]["metrics"]


@pytest.mark.parametrize("bad", [b"no image", encoded(pictures.flat("grey")(scene(1)), ONE)])
def test_a_published_image_that_is_bad_itself_is_no_reference(tmp_path: Path, bad: bytes) -> None:
    published = pictures.write(tmp_path / "published", {ONE: bad})
    found = judged(pictures.write(tmp_path / "new", {ONE: scene(1)}), published, images_only=True)
    assert (found["ok"], found["unreferenced"]) == (True, 1)


PIXELS = arrays.arrays(np.uint8, st.tuples(st.integers(16, 40), st.integers(16, 40), st.just(3)))


@given(PIXELS)
def test_every_metric_of_any_image_is_a_number(pixels: Any) -> None:
    values = quality.measure(decode(encoded(Image.fromarray(pixels), ONE), ONE))
    assert all(math.isfinite(value) for value in values.values())
    assert all(0 <= values[name] <= 1 for name in ("entropy", "blur_residual", "gradient_p95"))


def test_an_image_too_small_to_be_measured_is_told(tmp_path: Path) -> None:
    folder = pictures.write(tmp_path, {ONE: scene(1, (12, 40), shapes=0)})
    assert problem(folder) == "too small: 12x40 px, at least 16 a side are needed"


def test_the_limits_are_one_file_that_says_what_each_metric_means() -> None:
    gate = rules.gate()
    assert all(metric.meaning and metric.unit for metric in gate.metrics.values())
    with pytest.raises(ValueError, match="not_there"):
        rules.Gate.model_validate(
            gate.model_dump() | {"rules": [{"name": "new", "all": [{"metric": "not_there", "below": 1}]}]}
        )


def test_upstreams_limits_are_as_they_were_found() -> None:
    limits = {
        (rule.name, condition.metric): condition.below if condition.below is not None else condition.above
        for rule in rules.gate().rules
        for condition in (*rule.all, *rule.any)
    }
    for name, metric, limit in (
        ("low detail", "luminance_std", 0.075),
        ("low detail", "entropy", 0.55),
        ("low detail", "blur_residual", 0.035),
        ("low detail", "gradient_p95", 0.045),
        ("noise", "neighbour_correlation", 0.55),
        ("noise", "low_frequency_ratio", 0.20),
        ("noise", "blur_residual", 0.045),
        ("drifted", "global_ssim", 0.20),
        ("drifted", "mean_abs_diff", 45.0),
    ):
        assert limits[name, metric] == limit


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Published images to spoil: a drawing, a rendering, and a soft frame of a video."""
    if not GT.is_dir():
        pytest.skip(f"the published images that the gate is tried on are not here: {GT}")
    names = ("flux_image_t2i_1gpu.jpg", "qwen_image_layered_i2i_1gpu.png")
    return {name: GT / SETS[0] / name for name in (*names, "wan2_1_t2v_1.3b_1gpu_frame_0.png")}


@pytest.mark.parametrize(("new", "published"), [(SETS[0], SETS[1]), (SETS[1], SETS[0])])
def test_no_published_image_is_refused(new: str, published: str, real: dict[str, Path]) -> None:
    found = judged(GT / new, GT / published, images_only=True)
    assert (found["bad"], found["images"]) == ([], len(list((GT / new).glob("*.*"))))


@pytest.mark.parametrize(("new", "published"), [("h100", "5090"), ("5090", "h100")])
def test_an_image_of_another_gpu_kind_is_no_false_alarm(new: str, published: str, real: dict[str, Path]) -> None:
    official = GT / SETS[0]
    assert judged(official / new, official / published, images_only=True)["ok"]


def spoilt(real: dict[str, Path], folder: Path, spoil: Spoil) -> Path:
    images = {name: spoil(Image.open(path).convert("RGB")) for name, path in real.items()}
    return pictures.write(folder, images)


@pytest.mark.parametrize("name", ["noise", "strong noise on top", "blur of 8"])
def test_a_spoilt_published_image_is_refused(name: str, real: dict[str, Path], tmp_path: Path) -> None:
    found = judged(spoilt(real, tmp_path, SPOILT_ALONE[name][1]), images_only=True)
    assert len(found["bad"]) == len(real)


@pytest.mark.parametrize("name", ["blur of 2", "noise on top", "shift by 1", "crop to 95 %", "crop to a corner"])
def test_a_misplaced_or_softened_published_image_is_refused(name: str, real: dict[str, Path], tmp_path: Path) -> None:
    rule, spoil = SPOILT_AGAINST_PUBLISHED[name]
    found = judged(spoilt(real, tmp_path, spoil), GT / SETS[0], images_only=True)
    assert len(found["bad"]) == len(real)
    assert all(re.search(rule, line) for line in found["bad"]), found["bad"]


def test_the_lock_of_fetched_gt_is_no_stale_file(tmp_path: Path) -> None:
    folder = pictures.artifact(tmp_path / "gt", {"one_1gpu.png": scene(1)})
    (folder / "gt.lock").write_text("version = 1\n")
    (folder / "gt.txt").write_text("")
    assert list(artifacts.read(folder).strays()) == ["gt.txt"]
