"""The promises of `gt diverge` at the command line, and of two traces beside the images of `gt compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Gt
from tests.support import pictures
from tests.support.pictures import added, scene
from tests.support.traces import Run, write

CASE = "one"


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with the traces `reference`, `same` and `other`, of which the last has another guidance."""
    for name, run in (("reference", Run()), ("same", Run()), ("other", Run(guidance=5))):
        write(tmp_path / name, {CASE: run.tensors()})
    return tmp_path


def test_diverge_tells_the_verdict_once_and_writes_json_table_and_picture(pair: Path, gt: Gt) -> None:
    done = gt("diverge", "--reference", "reference", "--other", "other")
    assert done.returncode == 1
    verdict = ": the first step's transformer or its guidance"
    assert (done.stdout + done.stderr).count(verdict) == 1
    assert done.stderr.splitlines() == ["gt: 1 of 1 case diverged", "gt: a picture of each case is in divergence"]
    written = pair / "divergence"
    assert sorted(path.name for path in written.iterdir()) == ["diverge.json", "diverge.txt", "one.svg"]
    (case,) = json.loads((written / "diverge.json").read_text())["cases"]
    assert (case["first"], case["diverged"]) == ("model_output.0", True)
    assert done.stdout == (written / "diverge.txt").read_text()


def test_diverge_exits_with_0_where_nothing_differs(pair: Path, gt: Gt) -> None:
    done = gt("diverge", "--reference", "reference", "--other", "same", "--exact", "--case-ids", CASE, "-o", "out")
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, "gt: 0 of 1 case diverged, by every bit")
    assert "one: all 17 stages are equal, bit for bit" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reference", "nothing", "--other", "other"], "nothing is no directory; name the folder of a trace"),
        (["--reference", "reference", "--other", "."], "is no trace: it holds no trace.json"),
        (["--reference", "reference", "--other", "other", "--case-ids", "two"], "holds no case two; it has one"),
        (
            ["--reference", "reference", "--other", "other", "--dtype", "bf61"],
            "bf61 is no dtype; name one of bf16, fp16",
        ),
        (["--reference", "reference", "--other", "cut"], "cut/one.safetensors is no whole safetensors file"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_message(
    pair: Path, gt: Gt, arguments: list[str], words: str
) -> None:
    write(pair / "cut", {CASE: Run().tensors()})
    tensors = pair / "cut" / f"{CASE}.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:1000])
    done = gt("diverge", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_compare_shows_two_traces_beside_the_images(pair: Path, gt: Gt) -> None:
    pictures.artifact(pair / "gt", {f"{CASE}_1gpu.png": scene(1), "two_1gpu.png": scene(2)})
    pictures.write(pair / "engine", {f"{CASE}_1gpu.png": added(1, 1)(scene(1)), "two_1gpu.png": scene(2)})
    traces = ("--reference-trace", "reference", "--other-trace", "other")
    done = gt("compare", "--engine", "engine", *traces)
    assert done.returncode in (0, 1), done.stderr
    page = (pair / "comparison" / "report.html").read_text()
    assert page.count("Where the two traces first differ") == page.count("<svg") == 1
    assert "the first step&#39;s transformer or its guidance" in page
    cases = {case["name"]: case for case in json.loads((pair / "comparison" / "compare.json").read_text())["cases"]}
    assert cases[CASE]["traces"]["first"] == "model_output.0"
    assert cases["two"]["traces"] is None
    done = gt("compare", "--engine", "engine", *traces[:2])
    assert (done.returncode, "give --reference-trace and --other-trace, or neither" in done.stderr) == (2, True)
