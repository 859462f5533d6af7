"""The judges' table: every way spoils more with its strength, and each row counts what the judges really said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from bench import judges, spoiling
from bench.judges import Judgement
from gt_judge import pool
from tests.support import pictures
from tests.support.pictures import scene

SHIFT, BRIGHTER, OTHER = "shift by 1, 4, 16 px", "brighter by 8, 25, 60", "another image, 10, 40, 100 %"
SCENES = {f"{name}_1gpu.png": scene(seed) for seed, name in enumerate(("one", "two"))}


def apart(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(float) - np.asarray(other)).mean())


@pytest.mark.parametrize("way", spoiling.SPOILT)
def test_each_of_twelve_ways_spoils_more_with_its_strength_and_more_than_what_is_harmless(way: str) -> None:
    assert len(spoiling.SPOILT) == 12
    image, other = SCENES.values()
    distances = [apart(change(image, other), image) for change in spoiling.SPOILT[way]]
    assert distances == sorted(distances)
    assert distances[0] > 0
    assert distances[2] > 2 * max(apart(change(image, other), image) for change in spoiling.HARMLESS.values())


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[Judgement]:
    folder = pictures.write(tmp_path_factory.mktemp("scenes"), SCENES)
    return judges.measure(folder, other=folder, ways=[SHIFT, BRIGHTER, OTHER])


def row(judged: list[Judgement], start: str) -> dict[str, str]:
    """A row of the first table, by judge."""
    heading, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in judges.table(judged))
    (found,) = (cells for cells in rows if cells[0].startswith(start))
    return dict(zip(heading, found, strict=True))


def test_false_alarms_are_counted_where_a_judge_refuses_what_is_sound(judged: list[Judgement]) -> None:
    rounding, jpeg = (row(judged, f"*sound*: {way}") for way in spoiling.HARMLESS)
    for cells in (rounding, row(judged, f"*sound*: {judges.OTHER}")):
        assert {judge: cells[judge] for judge in judges.JUDGES} == dict.fromkeys(judges.JUDGES, "0")
    assert jpeg[judges.GATE_ALONE] == jpeg[judges.GATE] == "0"
    assert jpeg["ssim"] == "2"  # bright shapes on each other lose their colours' edges, which photographs hardly have


def test_the_gate_misses_no_shift_and_every_change_of_brightness(judged: list[Judgement]) -> None:
    assert row(judged, SHIFT)[judges.GATE] == "0 0 0"
    assert row(judged, SHIFT)[judges.GATE_ALONE] == "2 2 2"
    assert row(judged, BRIGHTER)[judges.GATE] == "2 2 2"
    assert row(judged, OTHER)[judges.GATE].endswith(" 0")


def test_misses_of_ssim_are_those_that_scikit_image_gives(judged: list[Judgement]) -> None:
    images = list(SCENES.values())
    pairs = list(zip(images, reversed(images), strict=True))
    for way in (SHIFT, BRIGHTER, OTHER):
        misses = [
            sum(
                structural_similarity(np.asarray(image), np.asarray(change(image, other)), channel_axis=-1) >= 0.95
                for image, other in pairs
            )
            for change in spoiling.SPOILT[way]
        ]
        assert row(judged, way)["ssim"] == " ".join(map(str, misses))


def test_a_limit_is_told_with_what_it_misses_and_what_it_would_catch_elsewhere(judged: list[Judgement]) -> None:
    limits = {limit.metric: limit for limit in judges.limits(judged)}
    assert limits.keys() == {*judges.MEASURES, "shift_gain"}
    shift = limits["shift_gain"]
    assert (shift.value, shift.misses(judged, shift.value)) == (0.65, [0, 0, 0])
    assert shift.misses(judged, 1.0) == [2, 2, 2]
    assert shift.alarms(judged, shift.value) == 0
    assert shift.alarms(judged, -1.0) > 0
    (line,) = (line for line in judges.limits_table(judged) if line.startswith("| `shift_gain`"))
    assert line.endswith("| agrees |")


def test_the_command_writes_both_tables_and_every_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], judged: list[Judgement]
) -> None:
    monkeypatch.setattr(judges, "measure", lambda *_: judged)
    monkeypatch.setattr(sys, "argv", ["bench.judges", str(tmp_path), "-o", str(tmp_path / "out")])
    assert judges.main() == 0
    assert (tmp_path / "out" / "judges.md").read_text() == capsys.readouterr().out.removesuffix("\n")
    written = json.loads((tmp_path / "out" / "judges.json").read_text(), parse_constant=pytest.fail)  # no Infinity
    assert len(written) == len(judged)
    assert any(each["values"]["psnr"] is None for each in written)


@pytest.mark.parametrize(
    ("names", "other", "said"),
    [
        ([], None, "holds 0 images; 2 are needed at least"),
        (["a.png", "b.png", "a.jpg"], None, "holds several images that are named a; name each otherwise"),
        (["a.png", "b.png"], ["c.png"], "holds no image of a name that is in"),
        (["a.png", "grey.png"], None, "grey.png: not plain RGB"),
    ],
)
def test_a_folder_that_cannot_be_judged_is_refused_in_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    other: list[str] | None,
    said: str,
) -> None:
    for folder, images in (("images", names), ("other", other or [])):
        (tmp_path / folder).mkdir()
        for name in images:
            Image.new("L" if "grey" in name else "RGB", (32, 32)).save(tmp_path / folder / name)
    options = ["--other", str(tmp_path / "other")] if other else []
    words = ["bench.judges", str(tmp_path / "images"), "-o", str(tmp_path / "out"), *options]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(pool, "each", map)
    assert judges.main() == 1
    assert said in capsys.readouterr().err
