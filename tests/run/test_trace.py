"""What `gt trace` promises, run as a user runs it: a real pipeline, tiny weights."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from ci.catalogue import files as catalogue
from tests.conftest import Gt
from tests.support.factory import write_cases

SMOKE = ("--source-group", "smoke", "--case-ids", "smoke_t2i", "--on", "cpu")


def test_a_trace_is_made_anew_beside_the_artifact_and_its_images_are_the_stores(gt: Gt, tmp_path: Path) -> None:
    assert gt("generate", *SMOKE, "-o", "gt").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "gt").iterdir()}
    run = gt("trace", *SMOKE, "-o", "traces")
    assert run.returncode == 0, run.stderr
    text = run.stderr
    assert re.search(
        r"^gt: traces of 1 case: up to some [\d.]+ MB; --stages and --every make them smaller$", text, re.M
    )
    assert text.index("up to some") < text.index("smoke_t2i: load")
    assert re.search(r"^gt: 1 of 1 case is traced in traces, [\d.]+ [kM]B$", text, re.M)
    assert {path.name: path.read_bytes() for path in (tmp_path / "gt").iterdir()} == before
    index = json.loads((tmp_path / "traces" / "trace.json").read_text())
    assert (index["schema_version"], index["producer"]["name"]) == (1, "diffusion-gt")
    entry = index["cases"]["smoke_t2i"]
    file = tmp_path / "traces" / entry["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
    assert load_file(file).keys() == entry["stages"].keys()
    assert entry["steps"] == 8
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


def test_a_case_of_ones_own_starts_from_the_noise_of_a_trace(gt: Gt, tmp_path: Path) -> None:
    assert gt("trace", *SMOKE, "--stages", "latents.0", "-o", "traces").returncode == 0
    noise = tmp_path / "traces" / "smoke_t2i.safetensors"
    assert list(load_file(noise)) == ["latents.0"]
    smoke = catalogue.load().cases["smoke_t2i"].data()
    body = {name: value for name, value in smoke.items() if name not in ("id", "source")}
    latents = {"file": noise.name, "sha256": hashlib.sha256(noise.read_bytes()).hexdigest()}
    other = {**body, "call": body["call"] | {"seed": 7}, "latents": latents}
    cases = write_cases(tmp_path / "cases", {"smoke_t2i": body, "from_a_file": other}, "smoke")
    shutil.copy(noise, cases)
    options = ("--source-group", "smoke", "--on", "cpu", "--cases", str(cases))
    run = gt("generate", *options, "-o", "gt")
    assert run.returncode == 0, run.stderr
    records = json.loads((tmp_path / "gt" / "manifest.json").read_text())["cases"]
    ours, theirs = (records[name]["initial_latent"] for name in ("smoke_t2i", "from_a_file"))
    assert (ours["given"], theirs["given"]) == (None, noise.name)
    images = [tmp_path / "gt" / records[name]["files"][0]["name"] for name in ("smoke_t2i", "from_a_file")]
    assert images[0].read_bytes() == images[1].read_bytes()  # of another seed, and the same noise
    (cases / noise.name).write_bytes(b"another")
    run = gt("generate", *options, "-o", "gt")
    assert run.returncode == 2
    assert "from_a_file latents.file: expected a safetensors file" in run.stderr


def test_a_stage_that_no_case_has_is_told_with_what_there_is_and_ends_with_an_error(gt: Gt, tmp_path: Path) -> None:
    run = gt("trace", *SMOKE, "--stages", "latents.999,condition,latents.7", "-o", "traces")
    assert run.returncode == 1
    lines = [line for line in run.stderr.splitlines() if line.startswith("gt: --stages ")]
    assert [line.partition(": the ")[0] for line in lines] == [
        "gt: --stages latents.999: not in smoke_t2i",
        "gt: --stages condition: not in smoke_t2i",
    ]
    assert "latents.0 to latents.7" in lines[0]
    assert "the case has no input image" in lines[1]
    assert "1 of 1 case is traced in traces" in run.stderr
    assert list(load_file(tmp_path / "traces" / "smoke_t2i.safetensors")) == ["latents.7"]


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
    run: subprocess.CompletedProcess[str] = gt("trace", *arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "traces").exists()
