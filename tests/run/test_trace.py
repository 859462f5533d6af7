"""What `gt trace` promises, run as a user runs it: a real pipeline, tiny weights."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.conftest import Gt

SMOKE = ("--source-group", "smoke", "--case-ids", "smoke_t2i", "--on", "cpu")


def test_a_trace_is_made_anew_beside_the_artifact_and_its_images_are_the_stores(gt: Gt, tmp_path: Path) -> None:
    assert gt("generate", *SMOKE, "-o", "gt").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "gt").iterdir()}
    made = gt("trace", *SMOKE, "-o", "traces")
    assert made.returncode == 0, made.stderr
    said = made.stderr
    assert re.search(
        r"^gt: traces of 1 case: up to some [\d.]+ MB; --stages and --every make them smaller$", said, re.M
    )
    assert said.index("up to some") < said.index("smoke_t2i: load")
    assert re.search(r"^gt: 1 of 1 case is traced in traces, [\d.]+ MB$", said, re.M)
    assert {path.name: path.read_bytes() for path in (tmp_path / "gt").iterdir()} == before
    index = json.loads((tmp_path / "traces" / "trace.json").read_text())
    assert (index["schema_version"], index["producer"]["name"]) == (1, "diffusion-gt")
    entry = index["cases"]["smoke_t2i"]
    file = tmp_path / "traces" / entry["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
    assert load_file(file).keys() == entry["stages"].keys()
    assert entry["steps"] == 4
    again = gt("generate", *SMOKE, "-o", "later")
    assert "0 made now" in again.stderr
    [image] = [name for name in before if name != "manifest.json"]
    assert (tmp_path / "later" / image).read_bytes() == before[image]
    record, first = (
        json.loads((tmp_path / folder / "manifest.json").read_text())["cases"]["smoke_t2i"]
        for folder in ("later", "gt")
    )
    assert record["process"]["id"] != first["process"]["id"]  # what is in the store now is what the traced run made
    assert record["initial_latent"]["sha256"] == entry["stages"]["noise"]["sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SMOKE, "--stages", "latent"), "did you mean latents?"),
        ((*SMOKE, "--every", "0"), "--every 0 keeps no step"),
        (("--case-ids", "flux_image_t2i", "--on", "cpu"), "official cases with --official"),
        ((*SMOKE, "-o", "gt"), "holds an artifact"),
    ],
)
def test_bad_input_is_answered_in_words_before_anything_runs(
    arguments: tuple[str, ...], message: str, gt: Gt, tmp_path: Path
) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "manifest.json").write_text("{}")
    refused: subprocess.CompletedProcess[str] = gt("trace", *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "traces").exists()
