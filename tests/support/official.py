"""The official Diffusers cases, made small enough for a CPU: fewer steps, fp32, and a small size where a case has one.

Everything else is as in `cases/diffusers.yaml`. A size that follows from an input image by the case's rule is left to
the rule where that is affordable; the stand-ins for the inputs have the aspect ratios of the published images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from ci.catalogue import files
from gt_runner.contract import Case

SMALL = {"width": 64, "height": 64}
# Their rule asks for 1024 * 1024 pixels, several seconds each; qwen_image_edit_ti2i, of the same rule, keeps it.
COSTLY = ("qwen_image_edit_2509_ti2i", "qwen_image_edit_2511_ti2i")
STAND_INS = {
    "TI2I_Qwen_Image_Edit_Input.jpg": (96, 64),
    "edit2509_1.jpg": (96, 64),
    "edit2509_2.jpg": (64, 64),
    "4.png": (64, 64),
}


def cases() -> dict[str, dict[str, Any]]:
    """The bodies of the small cases, by id, in the catalogue's order."""
    ours = files.load().cases.values()
    return {case.id: _small(case.data()) for case in ours if case.source == "diffusers"}


def _small(case: dict[str, Any]) -> dict[str, Any]:
    call = {**case["call"], "num_inference_steps": 1 if case.get("inputs") else 2}
    if "width" in call or case["id"] in COSTLY:
        call |= SMALL
    needs = {"gpu": "any", "minutes": 1.0}
    return {**case, "call": call, "needs": needs, "runtime": {**case["runtime"], "dtype": "fp32"}}


def runnable(body: dict[str, Any], base: Path) -> Case:
    """A case as the runner gets it."""
    return {**body, "base": str(base)}  # type: ignore[typeddict-item]


def write_inputs(models: Path) -> None:
    """Put the stand-ins where `gt --models` looks for inputs."""
    folder = models / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, (width, height)) in enumerate(STAND_INS.items()):
        coarse = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / name)


def inputs_of(case: dict[str, Any], models: Path) -> list[Path]:
    """Where a case's inputs lie: the stand-ins for URLs, our own files for paths."""
    stand_ins = models / "inputs"
    return [
        stand_ins / Path(urlsplit(given["url"]).path).name if "url" in given else files.CASES / given["path"]
        for given in case.get("inputs", [])
    ]
