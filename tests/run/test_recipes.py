"""The promises of runner images: a locked environment each, one torch for all, and a name that says what is in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ci import ROOT
from ci.errors import ImageError
from ci.run import recipes
from gt_runner.sources import SOURCES

DIGEST = "sha256:" + "0" * 64


def locked(project: str) -> dict[str, str]:
    """The packages of a project's lock file with their versions."""
    lock = tomllib.loads((recipes.CONTAINERS / project / "uv.lock").read_text())
    return {package["name"]: package["version"] for package in lock["package"] if "version" in package}


@pytest.mark.parametrize("project", [*SOURCES, recipes.FETCH, recipes.CHECK, recipes.COMPARE, recipes.TORCH])
def test_a_lock_file_is_what_its_project_asks_for(project: str) -> None:
    check = ["uv", "lock", "--check", "--project", str(recipes.CONTAINERS / project)]
    run = subprocess.run(check, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("source", SOURCES)
def test_the_torch_layer_is_kept_whole_by_every_source(source: str) -> None:
    ours = {"gt-image-torch", "numpy", "pillow"}  # the project itself
    shared = {name: version for name, version in locked(recipes.TORCH).items() if name not in ours}
    assert shared.items() <= locked(source).items()


@pytest.mark.parametrize("project", [recipes.FETCH, recipes.CHECK])
def test_what_neither_loads_nor_runs_a_model_has_no_torch(project: str) -> None:
    assert recipes.tiers(project) == [project]
    assert "torch" not in locked(project)


def test_the_images_run_the_versions_that_the_tests_run() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    versions = {(package["name"], package.get("version")) for package in lock["package"]}
    for source in ("diffusers", "smoke"):
        for name in ("torch", "torchvision", "diffusers", "transformers", "numpy", "pillow", "safetensors"):
            assert (name, locked(source)[name]) in versions, source


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(recipes.CONTAINERS, tmp_path / "containers"))


@pytest.mark.parametrize(
    "file",
    ["smoke/uv.lock", "torch/uv.lock", "runner/gt_runner/work/output.py", "runner/pyproject.toml", "images.yaml"],
)
def test_a_recipe_changes_with_whatever_is_in_the_image(copy: Path, file: str) -> None:
    digest = recipes.recipe("smoke", "base@" + DIGEST, copy).digest
    (copy / file).write_text((copy / file).read_text() + "\n# changed\n")
    assert recipes.recipe("smoke", "base@" + DIGEST, copy).digest != digest


def test_a_recipe_does_not_change_with_another_source(copy: Path) -> None:
    digest = recipes.recipe("smoke", "base@" + DIGEST, copy).digest
    (copy / "ltx" / "uv.lock").write_text("")
    assert recipes.recipe("smoke", "base@" + DIGEST, copy).digest == digest
    assert recipes.recipe("smoke", "other@" + DIGEST, copy).digest != digest


def test_images_are_taken_by_digest_only() -> None:
    images = recipes.published([f"smoke=ghcr.io/owner/smoke@{DIGEST}"], SOURCES)
    assert images == {"smoke": f"ghcr.io/owner/smoke@{DIGEST}"}
    for wrong in ("smoke=ghcr.io/owner/smoke:latest", f"smok=ghcr.io/owner/smoke@{DIGEST}", "smoke", ""):
        with pytest.raises(ImageError, match=r"write SOURCE=REFERENCE@sha256:DIGEST, with diffusers, ltx, smoke"):
            recipes.published([wrong], SOURCES)


def test_a_data_file_with_a_mistake_is_said(copy: Path) -> None:
    (copy / "images.yaml").write_text("base: {reference: python, digest: latest}\nuv: 0.13.9\n")
    with pytest.raises(ImageError, match=r"images\.yaml is not what it should be"):
        recipes.data(copy)


def test_the_planning_core_knows_nothing_of_dagger() -> None:
    core = [
        "cli",
        "catalogue.selection",
        "plan.generation",
        "publish.push",
        "run.on_machine",
        "run.recipes",
    ]
    code = f"import sys; import {', '.join(f'ci.{name}' for name in core)}; print('dagger' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "False"
