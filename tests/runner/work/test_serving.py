"""The promises of taking a serving engine's files: plain images, of the format that their names say, one a name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest

from gt_runner.contract import Case
from gt_runner.errors import CommandError
from gt_runner.work import serving
from tests.support import pictures
from tests.support.odd_pictures import ODD, SCENE, saved

CASE = cast("Case", {"id": "cat", "output": {"kind": "image", "format": "png", "name_gpus": 1}})
NAME = "cat_1gpu.png"


def taken(out: Path) -> list[str]:
    (out.parent / "kept").mkdir()
    return [serving._copied(out / name, out.parent / "kept").name for name in serving._complete(CASE, out)]


@pytest.mark.parametrize("name", ODD)
def test_an_image_that_is_not_plain_rgb_is_refused_by_name(tmp_path: Path, name: str) -> None:
    file, data, words = ODD[name]
    out = pictures.write(tmp_path / "out", {file: data})
    with pytest.raises(CommandError, match=f"{re.escape(file)} of the serving engine: not plain RGB: .*{words}"):
        serving._copied(out / file, tmp_path)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({NAME: SCENE, "cat_1gpu.webp": saved(SCENE, "WEBP")}, "made cat_1gpu.png and cat_1gpu.webp: it is not known"),
        (
            {NAME: b"%!PS-Adobe-3.0 EPSF-3.0"},
            "cat_1gpu.png of the serving engine: unreadable: it is no JPEG, PNG",
        ),
        ({NAME: saved(SCENE, "JPEG")}, "cat_1gpu.png of the serving engine: wrong format: JPEG, the name says PNG"),
        ({"cat_1gpu.webp": SCENE}, "made no cat_1gpu.png; it made cat_1gpu.webp"),
    ],
    ids=["two", "EPS", "disguised", "another"],
)
def test_what_is_not_the_one_image_of_its_name_is_refused(tmp_path: Path, files: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        taken(pictures.write(tmp_path / "out", files))


def test_layers_with_alpha_and_what_lies_beside_them_are_no_mistake(tmp_path: Path) -> None:
    layered = SCENE.copy()
    layered.putalpha(128)
    assert taken(pictures.write(tmp_path / "out", {NAME: layered, "cat_1gpu_audio.wav": b"", "dog.png": SCENE})) == [
        NAME
    ]
