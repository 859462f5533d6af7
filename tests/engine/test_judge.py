"""The judge in a container: what it refuses, and the report that comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Gt
from tests.engine.conftest import Call
from tests.support import pictures, tiny_clip
from tests.support.pictures import scene

ONE = "one_1gpu.png"


def test_a_sound_artifact_passes_and_a_spoilt_one_raises_a_line_for_each_bad_file(call: Call, tmp_path: Path) -> None:
    sound = pictures.artifact(tmp_path / "gt", {ONE: scene(1)})
    assert "none is bad" in call("check", "--artifact", str(sound)).out
    spoilt = pictures.artifact(tmp_path / "spoilt", {ONE: pictures.rolled(5, 0)(scene(1))})
    refused = call("check", "--artifact", str(spoilt), "--published", str(sound))
    assert refused.status == 1
    assert refused.message.startswith(f"{ONE}: shifted by 5 px in x and 0 px in y: shift_pixels 5 > 0.5, ")
    measured = call(
        "metrics", "--artifact", str(spoilt), "--published", str(sound), "-o", str(tmp_path / "metrics.json")
    )
    assert measured.status == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["files"][ONE]["metrics"]["shift_gain"] > 0.9


def test_a_comparison_comes_back_as_report_json_and_junit(call: Call, tmp_path: Path) -> None:
    new = pictures.artifact(tmp_path / "gt", {ONE: scene(1)})
    published = pictures.artifact(tmp_path / "published", {ONE: pictures.added(9)(scene(1))})
    out = tmp_path / "out"
    done = call("compare", "--artifact", str(new), "--published", str(published), "--engine", str(new), "-o", str(out))
    assert done.status == 0
    assert {path.name for path in out.iterdir()} == {"compare.json", "junit.xml", "report.html"}
    found = json.loads((out / "compare.json").read_text())
    assert found["counts"] == {"published": {"changed": 1}, "engine": {"passed": 1}}
    assert found["not_measured"].keys() == {"clip", "lpips"}


def test_a_history_comes_in_as_a_file_and_back_grown_beside_the_report(call: Call, gt: Gt, tmp_path: Path) -> None:
    new = pictures.artifact(tmp_path / "gt", {ONE: scene(1)})
    history, out = tmp_path / "earlier.jsonl", tmp_path / "out"
    arguments = ("compare", "--artifact", str(new), "--published", str(new), "--history", str(history))
    assert gt(*arguments, "-o", str(tmp_path / "first")).returncode == 0
    assert call(*arguments, "-o", str(out)).status == 0
    grown = (out / "history.jsonl").read_text()
    assert [json.loads(line)["case"] for line in grown.splitlines()] == ["one"] * 2
    assert grown.startswith(history.read_text())
    assert "The last 2 of 2 comparisons" in (out / "report.html").read_text()


@pytest.mark.long
def test_learned_measures_are_taken_where_their_weights_are_given(call: Call, tmp_path: Path) -> None:
    new = pictures.artifact(tmp_path / "gt", {ONE: scene(1)})
    models, out = tiny_clip.write(tmp_path / "models"), tmp_path / "out"
    arguments = ("--artifact", str(new), "--published", str(new), "--models", str(models))
    assert call("compare", *arguments, "-o", str(out)).status == 0
    found = json.loads((out / "compare.json").read_text())
    assert found["not_measured"].keys() == {"lpips"}
    assert '"clip": 1.0' in json.dumps(found)


def test_what_cannot_be_judged_is_said_in_a_line(call: Call, tmp_path: Path) -> None:
    images = pictures.write(tmp_path / "images", {ONE: scene(1)})
    assert call("check", "--artifact", str(images)).message.endswith("--images-only takes its images as they are")
