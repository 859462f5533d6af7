"""What `gt generate --source-group smoke -o gt` promises, run as a user runs it: real pipelines, tiny weights."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, Gt, gt_command
from tests.support import gate
from tests.support.factory import RUNTIME, write_cases

TOKEN = "hf_planted_in_the_environment"
CASES = ["smoke_t2i", "smoke_ti2i", "smoke_t2v"]
FILES = {
    "smoke_t2i_1gpu.jpg": (128, 128),
    "smoke_ti2i_1gpu.jpg": (128, 128),
    "smoke_t2v_1gpu_frame_0.png": (192, 128),
    "smoke_t2v_1gpu_frame_mid.png": (192, 128),
    "smoke_t2v_1gpu_frame_last.png": (192, 128),
}

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Place:
    """A directory that a user works in, and the cache that belongs to it."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment of a run here."""
        return {**os.environ, "GT_CACHE": str(self.folder / "cache"), "HF_TOKEN": TOKEN}

    def generate(self, *arguments: str, group: str = "smoke") -> Run:
        """Run `gt generate` to its end."""
        command = gt_command("generate", "--source-group", group, *arguments)
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300, check=False
        )


def manifest(artifact: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((artifact / "manifest.json").read_text())
    return content


def content(artifact: Path) -> dict[str, bytes]:
    """The images of an artifact."""
    return {path.name: path.read_bytes() for path in artifact.iterdir() if path.name != "manifest.json"}


def processes(artifact: Path) -> dict[str, str]:
    """The process that made each finished case."""
    return {name: case["process"]["id"] for name, case in manifest(artifact)["cases"].items() if case["process"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def first(place: Place) -> Run:
    """The first run; its artifact is `gt`."""
    return place.generate("-o", "gt")


@pytest.fixture(scope="module")
def artifact(place: Place, first: Run) -> Path:
    assert first.returncode == 0, first.stderr
    return place.folder / "gt"


def test_the_artifact_holds_the_images_and_the_manifest_and_nothing_else(artifact: Path) -> None:
    assert {path.name for path in artifact.iterdir()} == {*FILES, "manifest.json"}
    for name, size in FILES.items():
        with Image.open(artifact / name) as image:
            assert image.size == size


def test_the_manifest_is_valid_by_its_published_schema(artifact: Path) -> None:
    schema = json.loads((ROOT / "ci" / "artifact" / "manifest.schema.json").read_text())
    jsonschema.validate(manifest(artifact), schema)
    assert sorted(manifest(artifact)["cases"]) == sorted(CASES)
    assert sorted(manifest(artifact)["run"]["made"]) == sorted(CASES)


def test_no_secret_and_no_path_of_this_machine_leaves_it(place: Place, artifact: Path) -> None:
    text = (artifact / "manifest.json").read_text()
    for private in (TOKEN, str(place.folder), str(Path.home()), str(ROOT)):
        assert private not in text
    written = [path for path in place.folder.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", FILES)
def test_every_image_passes_the_quality_gate(name: str, artifact: Path) -> None:
    with Image.open(artifact / name) as image:
        assert gate.problems(image) == []


def test_the_quality_gate_itself_refuses_a_blank_and_a_noisy_image() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert gate.problems(Image.new("RGB", (128, 128), (90, 120, 90))) == ["low detail"]
    assert gate.problems(Image.fromarray(noise)) == ["random noise"]


def test_progress_is_plain_lines_where_there_is_no_terminal(first: Run) -> None:
    assert first.stdout == ""
    assert not re.search(r"[\x1b\r]", first.stderr)
    for name in CASES:
        assert re.search(rf"^{name}: ok in \d+\.\d s$", first.stderr, re.MULTILINE)
    assert "gt: 3 of 3 cases are in gt (3 made now, 0 made before)" in first.stderr
    assert "Traceback" not in first.stderr


def test_a_second_run_makes_nothing_and_leaves_the_same_bytes(place: Place, artifact: Path) -> None:
    before, made_by = content(artifact), processes(artifact)
    again = place.generate("-o", "gt")
    assert again.returncode == 0
    assert "0 made now, 3 made before" in again.stderr
    assert manifest(artifact)["run"]["made"] == []
    assert content(artifact) == before
    assert processes(artifact) == made_by


def test_an_earlier_artifact_stands_in_for_an_empty_cache(artifact: Path, tmp_path: Path) -> None:
    run = Place(tmp_path).generate("--previous", str(artifact), "-o", "gt")
    assert run.returncode == 0, run.stderr
    assert "0 made now, 3 made before" in run.stderr
    assert content(tmp_path / "gt") == content(artifact)


def test_fresh_makes_a_case_again_in_another_process_with_the_same_bytes(place: Place, artifact: Path) -> None:
    again = place.generate("--fresh", "--case-ids", "smoke_t2v", "-o", "fresh")
    assert again.returncode == 0, again.stderr
    fresh = place.folder / "fresh"
    assert manifest(fresh)["run"]["made"] == ["smoke_t2v"]
    process, earlier = (manifest(where)["cases"]["smoke_t2v"]["process"] for where in (fresh, artifact))
    assert process["id"] != earlier["id"]
    assert process["nonce"]
    assert earlier["nonce"] is None
    assert content(fresh) == {name: data for name, data in content(artifact).items() if "t2v" in name}


def test_only_finished_gives_what_is_there_and_makes_nothing(place: Place, artifact: Path, tmp_path: Path) -> None:
    run = place.generate("--only-finished", "-o", "looked")
    assert run.returncode == 0, run.stderr
    assert content(place.folder / "looked") == content(artifact)
    assert manifest(place.folder / "looked")["run"]["made"] == []

    nothing = Place(tmp_path).generate("--only-finished", "-o", "gt")
    assert nothing.returncode == 1
    assert content(tmp_path / "gt") == {}
    reasons = {case["reason"] for case in manifest(tmp_path / "gt")["cases"].values()}
    assert reasons == {"not finished before, and --only-finished makes nothing"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--case-ids", "smoke_t2w"], r"gt: no case is named 'smoke_t2w'; did you mean (.* or )?smoke_t2v( or .*)?\?"),
        (["--case-ids", "flux_image_t2i"], r"gt: case 'flux_image_t2i' .*"),
        (["--only-finished", "--fresh"], r"gt: --only-finished gives what is there, .*; leave one out"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_started(
    arguments: list[str], line: str, gt: Gt, tmp_path: Path
) -> None:
    run = gt("generate", "--source-group", "smoke", *arguments, "-o", "gt", env={"GT_CACHE": str(tmp_path / "c")})
    assert run.returncode == 2
    assert re.fullmatch(line, run.stderr.strip())
    assert list(tmp_path.iterdir()) == []


# A run that is stopped twice: `quick` finishes before Ctrl-C, `slow` before the kill, the rest in a third run.
STEPS = {"quick": 2, "slow": 60, "slower": 60, "last": 2, "bad": 2}


@dataclass(frozen=True)
class Stopped:
    """What the three runs of one selection gave."""

    status_of_interrupt: int  # exit status
    first_manifest: dict[str, Any]  # manifest
    finished: Run
    artifact: Path


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    place = Place(tmp_path_factory.mktemp("stopped"))
    bodies = {name: body(steps) for name, steps in STEPS.items()}
    bodies["bad"]["call"]["extra"] = {"max_sequence_length": 1024}  # the pipeline refuses more than 512
    cases = str(write_cases(place.folder / "cases", bodies, "smoke"))
    status_of_interrupt = until(place, cases, "quick: ok", lambda pid: os.killpg(pid, signal.SIGINT))
    first_manifest = manifest(place.folder / "gt")
    until(place, cases, "slow: ok", lambda pid: os.killpg(pid, signal.SIGKILL))
    assert not left_over(place)
    finished = place.generate("--cases", cases, "-o", "gt")
    return Stopped(status_of_interrupt, first_manifest, finished, place.folder / "gt")


def body(steps: int) -> dict[str, Any]:
    return {
        "model": {"tiny": "FluxPipeline", "seed": 0},
        "needs": {"gpu": "any", "minutes": 0.1},
        "call": {"prompt": "a cat", "width": 256, "height": 256, "num_inference_steps": steps, "seed": 1},
        "runtime": RUNTIME,
        "output": {"kind": "image", "format": "png", "name_gpus": 1},
    }


def until(place: Place, cases: str, line: str, stop: Callable[[int], None]) -> int:
    """Run until a line is said, then stop the process group; returns the exit status."""
    command = gt_command("generate", "--source-group", "smoke", "--cases", cases, "-o", "gt")
    with subprocess.Popen(
        command, cwd=place.folder, env=place.env, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any(each.startswith(line) for each in lines), "the run ended before that line"
        stop(process.pid)
        process.stderr.read()
    return process.returncode


def left_over(place: Place) -> bool:
    """Whether a process of a run is still there after half a minute."""
    deadline = time.monotonic() + 30
    while alive := running(place):
        if time.monotonic() > deadline:
            return alive
        time.sleep(0.1)
    return False


def running(place: Place) -> bool:
    def ours(process: Path) -> bool:
        try:
            return str(place.folder).encode() in (process / "environ").read_bytes()
        except OSError:
            return False

    return any(ours(process) for process in Path("/proc").glob("[0-9]*"))


def test_ctrl_c_delivers_what_is_finished_and_says_what_is_not(stopped: Stopped) -> None:
    assert stopped.status_of_interrupt == 130
    cases = stopped.first_manifest["cases"]
    assert {name: case["status"] for name, case in cases.items()} == dict.fromkeys(STEPS, "skipped") | {"quick": "ok"}
    assert cases["slow"]["reason"] == "interrupted"


def test_what_finished_before_a_stop_or_a_kill_is_not_made_again(stopped: Stopped) -> None:
    assert manifest(stopped.artifact)["run"]["made"] == ["slower", "last"]
    made_by = processes(stopped.artifact)
    assert made_by["quick"] == stopped.first_manifest["cases"]["quick"]["process"]["id"]
    assert len({made_by["quick"], made_by["slow"], made_by["slower"]}) == 3
    assert made_by["slower"] == made_by["last"]


def test_a_case_that_fails_among_good_ones_leaves_the_artifact_whole(stopped: Stopped, gt: Gt) -> None:
    assert stopped.finished.returncode == 1
    assert "gt: 4 of 5 cases are in gt (2 made now, 2 made before)" in stopped.finished.stderr
    assert re.search(r"^gt: bad: failed: ValueError: .*512", stopped.finished.stderr, re.MULTILINE)
    assert set(content(stopped.artifact)) == {f"{name}_1gpu.png" for name in STEPS if name != "bad"}
    failed = manifest(stopped.artifact)["cases"]["bad"]
    assert (failed["status"], failed["files"]) == ("failed", [])
    assert str(ROOT) not in json.dumps(failed)
    verdict = gt("verdict", "--artifact", str(stopped.artifact))
    assert verdict.returncode == 1
    assert verdict.stderr.startswith("gt: bad: failed: ValueError")
