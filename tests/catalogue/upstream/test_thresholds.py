"""The promises of upstream's thresholds: what a checkout says is read anew, the rest keeps where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ci.catalogue import gpus
from ci.catalogue.upstream import thresholds
from ci.errors import DefinitionsError
from gt_judge.compare.thresholds import ServingThresholds

LIMITS = {"clip_threshold": 0.9, "ssim_threshold": 0.8, "psnr_threshold": 19, "mean_abs_diff_threshold": 5.5}
DEFAULTS = {
    f"default_{measure}_threshold_{output}": value
    for output in ("image", "video")
    for measure, value in zip(thresholds.MEASURES, (0.92, 0.95, 28.0, 8.0), strict=True)
}


def checkout(folder: Path, **platforms: dict[str, object]) -> Path:
    place = folder / thresholds.FOLDER
    place.mkdir(parents=True)
    for name, content in platforms.items():
        (place / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_the_platforms_of_a_checkout_are_read_anew_and_the_others_stay(tmp_path: Path) -> None:
    first = checkout(tmp_path / "1", h100={"cases": {"a": LIMITS}, **DEFAULTS}, intel_xpu_b60={"cases": {}})
    second = checkout(tmp_path / "2", h100={"cases": {"b": LIMITS}, "default_clip_threshold_audio": 1, **DEFAULTS})
    before = thresholds.updated({}, first, "v1")
    assert before["platforms"]["h100"]["cases"] == {"a": {"clip": 0.9, "ssim": 0.8, "psnr": 19.0, "mean_abs_diff": 5.5}}
    content = thresholds.updated(before, second, "v2")
    assert {kind: (platform["file"], platform["ref"]) for kind, platform in content["platforms"].items()} == {
        "h100": ("h100.json", "v2"),
        "b60": ("intel_xpu_b60.json", "v1"),
    }
    assert list(content["platforms"]["h100"]["cases"]) == ["b"]
    assert content["defaults"]["video"] == {"clip": 0.92, "ssim": 0.95, "psnr": 28.0, "mean_abs_diff": 8.0}


def test_a_second_import_of_one_checkout_changes_nothing(tmp_path: Path) -> None:
    names = ["plain", "a: b #", "1e3", "yes", "null", "5090"]
    one = checkout(tmp_path, h100={"cases": dict.fromkeys(names, LIMITS), **DEFAULTS}, b200={"cases": {}})
    first = "".join(thresholds.lines(thresholds.updated({}, one, "v1")))
    read = yaml.safe_load(first)
    assert list(read["platforms"]["h100"]["cases"]) == names
    assert "".join(thresholds.lines(thresholds.updated(read, one, "v1"))) == first


def test_a_case_that_upstream_says_half_of_keeps_the_default_of_the_rest(tmp_path: Path) -> None:
    half = {"cases": {"half": {"clip_threshold": 0.5}}, **DEFAULTS}
    content = thresholds.updated({}, checkout(tmp_path, h100=half), "v1")
    judged = ServingThresholds.model_validate({"version": 2, **content})
    for video in (False, True):
        bounds, name = judged.of("half", "h100", video=video)
        assert (bounds.clip, bounds.ssim, bounds.psnr, name) == (0.5, 0.95, 28.0, "h100 (h100.json at v1)")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"cases": {"a": 1}}', '{"cases": {"a": {"clip_threshold": "x"}}}', None]
)
def test_a_checkout_without_thresholds_that_can_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    place = checkout(tmp_path) / thresholds.FOLDER
    if content is not None:
        (place / "h100.json").write_text(content)
    with pytest.raises(DefinitionsError, match="holds no thresholds of cases" if content else "give a checkout of"):
        thresholds.updated({}, tmp_path, "v1")


def test_the_judges_file_is_what_the_script_writes_and_each_platform_is_a_gpu_kind() -> None:
    text = thresholds.OUTPUT.read_text("utf-8")
    content = yaml.safe_load(text)
    assert "".join(thresholds.lines(content)) == text
    assert content["platforms"].keys() <= set(gpus.KINDS)
    assert content["platforms"].keys() == thresholds.FILES.keys()
