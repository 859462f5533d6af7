"""`dagger call generate`: the artifact of the core, made in containers, with nothing made twice and nothing stale."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ci.run import recipes as images
from tests.conftest import ROOT, Gt
from tests.engine.conftest import Call, Volume, core, processes, sums, written

SMOKE = ("--source-group", "smoke")
TOKEN = f"hf_{uuid.uuid4().hex}"  # no file of ours holds it


@pytest.fixture(scope="module")
def first(volume: Callable[[], Volume]) -> tuple[Volume, dict[str, Any]]:
    """The smoke artifact, made with a token in an empty store."""
    store = volume()
    (store.folder / "started").touch()
    manifest, called = store.generate(*SMOKE, "--hf-token", "env:GT_TEST_TOKEN", env={"GT_TEST_TOKEN": TOKEN})
    (store.folder / "log.txt").write_text(called.out + called.err)
    return store, manifest


def test_the_artifact_holds_images_and_a_manifest_that_says_what_ran(
    first: tuple[Volume, dict[str, Any]], engine: str
) -> None:
    store, manifest = first
    jsonschema.validate(manifest, json.loads((ROOT / "ci" / "artifact" / "manifest.schema.json").read_text()))
    assert {path.name for path in (store.folder / "gt").iterdir()} == {"manifest.json", *sums(manifest)}
    assert {case["status"] for case in manifest["cases"].values()} == {"ok"}
    assert manifest["run"]["made"] == list(manifest["cases"])
    assert manifest["run"]["host"]["engine"] == engine
    for case in manifest["cases"].values():
        assert case["image"]["digest"] is None  # it was built here: its identity is not claimed
        assert case["image"]["recipe"].startswith("sha256:")
        assert case["isolation"] == "seccomp"


def test_the_bytes_are_those_of_a_run_without_containers(
    first: tuple[Volume, dict[str, Any]], gt: Gt, tmp_path: Path
) -> None:
    done = gt("generate", *SMOKE, "--on", "cpu", "-o", "gt")
    assert done.returncode == 0, done.stderr
    assert sums(json.loads((tmp_path / "gt" / "manifest.json").read_text())) == sums(first[1])


def test_a_second_call_makes_nothing(first: tuple[Volume, dict[str, Any]]) -> None:
    store, manifest = first
    again, _ = store.generate(*SMOKE, output="again")
    assert again["run"]["made"] == []
    assert (processes(again), sums(again)) == (processes(manifest), sums(manifest))


def test_fresh_makes_every_case_again_in_a_new_process_with_the_same_bytes(
    first: tuple[Volume, dict[str, Any]],
) -> None:
    store, manifest = first
    again, _ = store.generate(*SMOKE, "--fresh", output="fresh")
    assert again["run"]["made"] == list(manifest["cases"])
    assert not set(processes(again).values()) & set(processes(manifest).values())
    assert {case["process"]["nonce"] is None for case in again["cases"].values()} == {False}
    assert sums(again) == sums(manifest)


@pytest.mark.long
def test_previous_stands_in_for_a_store_that_is_gone(
    first: tuple[Volume, dict[str, Any]], volume: Callable[[], Volume]
) -> None:
    store, manifest = first
    again, _ = volume().generate(*SMOKE, "--previous", str(store.folder / "gt"))
    assert again["run"]["made"] == []
    assert (processes(again), sums(again)) == (processes(manifest), sums(manifest))


def test_the_token_is_found_nowhere(first: tuple[Volume, dict[str, Any]]) -> None:
    store, _ = first
    for path in store.folder.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path
    # Where the engine keeps layers, cache keys and volumes, if it is on this machine.
    assert written(os.environ.get("GT_ENGINE_STATE"), store.folder / "started", TOKEN) == []


def smoke_cases(folder: Path, **changes: dict[str, Any]) -> Path:
    """A cases directory of our own: the text-to-image smoke case under other names."""
    data = yaml.safe_load((ROOT / "cases" / "smoke.yaml").read_text())
    body = data["cases"]["smoke_t2i"]
    data["cases"] = {name: {**body, **change} for name, change in changes.items()}
    folder.mkdir(exist_ok=True)
    (folder / "smoke.yaml").write_text(yaml.safe_dump(data))
    return folder


def test_a_case_that_fails_is_delivered_as_failed_and_runs_again_while_the_others_do_not(
    volume: Callable[[], Volume], call: Call
) -> None:
    store = volume()
    broken = {"model": {"tiny": "NoSuchPipeline"}}
    cases = smoke_cases(store.folder / "cases", mine_good={}, mine_broken=broken)
    first, _ = store.generate(*SMOKE, "--cases", str(cases))
    assert {name: case["status"] for name, case in first["cases"].items()} == {
        "mine_good": "ok",
        "mine_broken": "failed",
    }
    assert "NoSuchPipeline" in first["cases"]["mine_broken"]["reason"]
    assert first["cases"]["mine_broken"]["log"]

    verdict = call("verdict", "--artifact", str(store.folder / "gt"))
    assert verdict.status == 1
    assert "mine_broken: failed: " in verdict.message

    again, called = store.generate(*SMOKE, "--cases", str(cases), output="again")
    assert processes(again) == processes(first)
    shown = called.err.splitlines()
    assert any(line.endswith("┆ mine_good: made before") for line in shown)
    assert any("┆ mine_broken: failed ERROR" in line for line in shown)
    assert not any("withMountedCache" in line or "GT_NONCE" in line for line in shown)  # the engine's own is folded


@pytest.mark.long
def test_of_a_grown_list_only_the_case_that_was_added_is_made(volume: Callable[[], Volume]) -> None:
    store = volume()
    one = smoke_cases(store.folder / "cases", mine_one={})
    first, _ = store.generate(*SMOKE, "--cases", str(one))
    other = {"call": {"prompt": "a cat", "width": 128, "height": 128, "num_inference_steps": 2, "seed": 1}}
    two = smoke_cases(store.folder / "cases", mine_one={}, mine_two=other)
    grown, _ = store.generate(*SMOKE, "--cases", str(two), output="grown")
    assert grown["run"]["made"] == ["mine_two"]
    assert processes(grown)["mine_one"] == processes(first)["mine_one"]


@pytest.mark.long
def test_an_artifact_that_was_changed_does_not_pass(first: tuple[Volume, dict[str, Any]], call: Call) -> None:
    store, _ = first
    spoiled = Path(shutil.copytree(store.folder / "gt", store.folder / "spoiled"))
    image = next(spoiled.glob("*.png"))
    image.write_bytes(image.read_bytes() + b" ")
    assert f"{image.name}: changed" in call("verdict", "--artifact", str(spoiled)).message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ("--official", "--case-ids", "flux_imag_t2i"),
            "no case is named 'flux_imag_t2i'; did you mean flux_image_t2i",
            marks=pytest.mark.long,
        ),
        (("--source-group", "smoke", "--images", "smoke=python:3.11"), "write SOURCE=REFERENCE@sha256:DIGEST"),
    ],
)
def test_bad_input_gets_one_clear_message_and_starts_nothing(
    call: Call, arguments: tuple[str, ...], message: str
) -> None:
    called = call("generate", *arguments, "-o", "/nowhere/gt")
    assert called.status == 1
    assert message in called.message
    assert "Traceback" not in called.err
    assert "gt_runner" not in called.err  # no runner was started


def test_a_cases_directory_with_mistakes_gets_all_of_them(call: Call, tmp_path: Path) -> None:
    cases = smoke_cases(tmp_path / "cases", one={"needs": {"gpu": "h1000", "minutes": 1}}, two={"outptu": 1})
    called = call("matrix", "--cases", str(cases), *SMOKE)
    assert called.status == 1
    assert "smoke.yaml:" in called.message
    assert "one needs.gpu: expected a GPU kind, or any" in called.message
    assert "two outptu: unknown key 'outptu'; did you mean output" in called.message


def test_without_gpu_support_the_cases_and_what_to_do_are_said(call: Call) -> None:
    called = call("generate", "--official", "--case-ids", "flux_image_t2i", "--skip-preflight", "-o", "/nowhere/gt")
    if called.status == 0 or "this engine offers cpu" not in called.message:
        pytest.skip("this engine has GPUs")
    assert "h100: flux_image_t2i" in called.message
    assert "_EXPERIMENTAL_DAGGER_GPU_SUPPORT=1" in called.message


def test_the_recipe_of_an_image_changes_with_its_base(first: tuple[Volume, dict[str, Any]]) -> None:
    recipes = {case["image"]["recipe"] for case in first[1]["cases"].values()}
    assert len(recipes) == 1
    assert images.recipe("smoke", "another@sha256:" + "0" * 64).digest not in recipes


def test_an_image_is_pulled_by_its_digest_and_one_without_our_runner_fails_its_cases_alone(
    volume: Callable[[], Volume],
) -> None:
    base = core("container", "from", "--address", "python:3.11-slim", "image-ref").out.strip()
    manifest, _ = volume().generate("--source-group", "smoke", "--case-ids", "smoke_t2i", "--images", f"smoke={base}")
    case = manifest["cases"]["smoke_t2i"]
    assert (case["status"], case["reason"]) == ("failed", "its runner did not start")
    assert "No module named" in "".join(case["log"])


def test_whatever_is_chained_to_a_call_it_runs_once(engine: str) -> None:
    made = 'generate(sourceGroup: "smoke", caseIds: ["smoke_t2i"], on: CPU, fresh: true)'
    read = '{ file(path: "manifest.json") { contents } }'
    query = f"{{ one: {made} {read} other: {made} {read} }}"
    answer = subprocess.run(
        ["dagger", "--progress=plain", "query", "-m", str(ROOT)],
        input=query,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    answers = json.loads(answer.stdout)
    one, other = (json.loads(answers[name]["file"]["contents"]) for name in ("one", "other"))
    assert processes(one) == processes(other)
    assert one["run"]["started"] == other["run"]["started"]


def test_the_manifest_says_what_an_engine_knows_of_the_module_and_no_more(volume: Callable[[], Volume]) -> None:
    manifest, called = volume().generate(*SMOKE[:2], "--case-ids", "smoke_t2i", "--max-minutes", "0.001")
    tool = manifest["run"]["tool"]
    assert (tool["commit"], tool["dirty"]) == (None, None)
    assert ":" in tool["source"]
    assert "gt: smoke_t2i: skipped: not finished within --max-minutes 0.001" in called.err
    assert "gt: 0 of 1 case is in the artifact" in called.err
