"""The promises of what a case says of loading: the variant of the weights, and a dtype for each component."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers import ModularPipeline

from gt_runner.contract import Case
from gt_runner.errors import SourceError
from gt_runner.sources import diffusers
from gt_runner.sources.tiny import flux
from tests.support.factory import RUNTIME

CALL = {"prompt": "a cat", "width": 32, "height": 32, "num_inference_steps": 1, "seed": 1}


def case(**changes: Any) -> Case:
    parts = {"id": "a", "model": {"repo": "owner/model"}, "pipeline": "FluxPipeline", "call": CALL, "runtime": RUNTIME}
    return cast("Case", copy.deepcopy(parts) | changes)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same tiny pipeline, saved plainly and as fp16 files alone."""
    pipeline = flux.pipeline(0)
    places = {name: tmp_path_factory.mktemp(name) for name in ("plain", "fp16", "modular")}
    pipeline.save_pretrained(places["plain"])
    modular = ModularPipeline.from_pretrained(str(places["plain"]))
    modular.load_components(dtype=torch.float32)
    modular.save_pretrained(str(places["modular"]), overwrite_modular_index=True)
    pipeline.to(torch.float16).save_pretrained(places["fp16"], variant="fp16")
    return places


def loaded(folder: Path, **changes: Any) -> Any:
    fetched: Any = {"repositories": {"owner/model": {"path": str(folder)}}, "code": None, "inputs": []}
    return diffusers.load(case(**changes), fetched, "cpu")


def dtypes(pipeline: Any) -> dict[str, torch.dtype]:
    return {name: part.dtype for name, part in pipeline.components.items() if hasattr(part, "parameters")}


def test_a_repository_with_fp16_files_alone_is_loaded_by_its_variant(folders: dict[str, Path]) -> None:
    with pytest.raises(OSError, match="no file named"):
        loaded(folders["fp16"])
    model = {"repo": "owner/model", "variant": "fp16"}
    source = loaded(folders["fp16"], model=model, runtime=RUNTIME | {"dtype": "fp32"})
    assert source.generate(case(), [], lambda *_: None).frames.shape == (1, 32, 32, 3)


def test_each_component_has_its_own_dtype_and_the_others_the_default(folders: dict[str, Path]) -> None:
    source = loaded(folders["plain"], runtime=RUNTIME | {"dtype": {"default": "bf16", "vae": "fp32"}})
    found = dtypes(source.official)
    assert found.pop("vae") == torch.float32
    assert set(found.values()) == {torch.bfloat16}


def test_a_dtype_for_a_component_that_is_not_there_is_refused_with_those_that_are(folders: dict[str, Path]) -> None:
    with pytest.raises(SourceError, match=r"runtime\.dtype names unet; the pipeline's components are .*transformer"):
        loaded(folders["plain"], runtime=RUNTIME | {"dtype": {"default": "bf16", "unet": "fp32"}})


def test_a_repository_with_a_modular_pipeline_alone_makes_the_image_of_the_plain_one(folders: dict[str, Path]) -> None:
    source = loaded(folders["modular"], pipeline="FluxModularPipeline")
    steps: list[tuple[int, int]] = []
    made = source.generate(case(), [], lambda done, total: steps.append((done, total)))
    assert steps[-1] == (1, 1)
    assert "width" in made.passed
    plain = loaded(folders["plain"]).generate(case(), [], lambda *_: None)
    assert np.array_equal(made.frames, plain.frames)


def test_components_of_other_repositories_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["modular"], folder)
    shutil.rmtree(folder / "vae")
    index = json.loads((folder / "modular_model_index.json").read_text())
    index["vae"][2]["pretrained_model_name_or_path"] = "owner/vae"
    (folder / "modular_model_index.json").write_text(json.dumps(index))
    with pytest.raises(SourceError, match=r"of other repositories, which are not fetched: vae \(owner/vae\)"):
        loaded(folder, pipeline="FluxModularPipeline")
