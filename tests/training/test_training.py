"""The training of the smoke models runs from its start to a pipeline that Diffusers loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from diffusers import FluxPipeline

from tests.conftest import ROOT

TINY = {"autoencoder-steps": 1, "drawn": 2, "steps": 4, "made": 2, "edited": 2, "pool": 8, "renewed": 4, "measured": 4}


@pytest.mark.long
def test_a_training_leaves_figures_and_weights_that_are_a_pipeline(tmp_path: Path) -> None:
    for command in (
        ["training", *(f"--{name}={value}" for name, value in TINY.items()), "-o", str(tmp_path)],
        ["training.assemble", str(tmp_path), str(tmp_path / "p")],
    ):
        subprocess.run([sys.executable, "-m", *command], check=True, cwd=ROOT, timeout=600)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["8 steps, guidance 2"]) == {"prompts", "edits"}
    assert (tmp_path / "pictures.png").exists()
    FluxPipeline.from_pretrained(tmp_path / "p")
