"""The promises of reproducing: from a manifest alone, by its pins; what cannot be had is named; bytes are compared."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ci import RUNNER
from ci.artifact.manifest import NAME, Manifest
from ci.artifact.records import (
    CaseRecord,
    CodeRecord,
    FileRecord,
    GpuRecord,
    InputRecord,
    ProcessRecord,
    Tool,
    WeightsRecord,
)
from ci.artifact.replay import Ground, pinned, replay
from ci.artifact.replay_report import reproduction
from ci.artifact.tool import of_module
from ci.catalogue.fields import Input
from ci.catalogue.files import CASES, Catalogue
from ci.catalogue.gpus import CPU
from ci.catalogue.model import Case
from ci.catalogue.native import ServingCase
from ci.errors import ReproduceError
from ci.plan.host import Host
from ci.publish.merge import merge
from ci.run import runner
from gt_runner.environment import runner_digest
from tests.conftest import Gt
from tests.support.records import DIGEST, manifest

COMMIT = "c" * 40
OURS = Ground(Host("h100", 1, 80.0, "NVIDIA H100"), DIGEST, CASES)


def recorded(catalogue: Catalogue, name: str, **changes: Any) -> CaseRecord:
    """The record of an official case, as a run on an H100 leaves it."""
    case = catalogue.cases[name]
    repositories = dict.fromkeys(case.repositories)
    values: dict[str, Any] = {
        "status": "ok",
        "source": case.source,
        "case": case.data(),
        "runner": DIGEST,
        "environment": DIGEST,
        "weights": [WeightsRecord(repo=repo, commit=COMMIT, digest=DIGEST, bytes=1) for repo in repositories],
        "inputs": [InputRecord(url=each.url, path=each.path, sha256="d" * 64) for each in inputs(case)],
        "code": case.code and CodeRecord(repo=case.code.repo, commit=case.code.commit, identity="commit:x"),
        "gpu": GpuRecord(kind="h100", name="NVIDIA H100", memory_bytes=80),
        "versions": {"torch": "2.11.0"},
        "process": ProcessRecord(id="p", started="2026-01-01T00:00:00+00:00", nonce=None),
        "files": [FileRecord(name=f"{name}_1gpu.png", size=1, sha256="e" * 64, width=1, height=1)],
    }
    return CaseRecord(**values | changes)


def inputs(case: Case) -> list[Input]:
    return [] if isinstance(case.spec, ServingCase) else case.spec.inputs


def of(*records: CaseRecord, mode: str = "official") -> Manifest:
    base = manifest({str(record.case["id"]): "ok" for record in records})
    selection = base.run.selection.model_copy(update={"mode": mode})
    run = base.run.model_copy(update={"selection": selection})
    return base.model_copy(update={"run": run, "cases": {str(record.case["id"]): record for record in records}})


def test_every_official_case_comes_back_from_its_record_with_its_commits_and_digests(catalogue: Catalogue) -> None:
    for name in [name for name, case in catalogue.cases.items() if case.official]:
        record = recorded(catalogue, name)
        (case,) = replay(of(record), [], OURS).generation.cases
        assert case.data() == pinned(record)
        places = [case.spec.model, *getattr(case.spec, "loras", [])]
        places += [case.spec.text_encoder] if hasattr(case.spec, "text_encoder") else []
        assert {getattr(place, "revision", None) for place in places} == {COMMIT}
        assert {each.sha256 for each in inputs(case)} <= {"d" * 64}
        assert case.code == catalogue.cases[name].code


def test_a_case_that_was_made_on_a_cpu_is_made_on_one_again_whatever_is_here(catalogue: Catalogue) -> None:
    record = recorded(catalogue, "smoke_t2i", gpu=GpuRecord(kind=CPU, name=None, memory_bytes=None))
    (job,) = replay(of(record, mode="smoke"), [], OURS).generation.jobs
    assert job.gpu == CPU


def test_all_that_cannot_be_had_is_named_at_once(catalogue: Catalogue, tmp_path: Path) -> None:
    local_weights = [WeightsRecord(repo="owner/local", commit=None, digest=DIGEST, bytes=1)]
    one = recorded(catalogue, "smoke_ti2i", weights=local_weights, gpu=None)
    ground = replace(OURS, inputs=tmp_path)
    with pytest.raises(ReproduceError) as refusal:
        replay(of(one, mode="smoke"), [], ground)
    assert f"input inputs/shapes.png is not in {tmp_path}; --cases names" in str(refusal.value)
    assert "owner/local was a local folder" in str(refusal.value)
    with pytest.raises(ReproduceError, match=r"inputs/shapes\.png in .* is another file"):
        replay(of(one, mode="smoke"), [], OURS)


def test_another_gpu_kind_and_other_code_of_the_runner_are_refused_by_name_unless_allowed(catalogue: Catalogue) -> None:
    record = recorded(catalogue, "flux_image_t2i", gpu=GpuRecord(kind="h200", name=None, memory_bytes=None))
    ground = replace(OURS, runner="sha256:" + "1" * 64)
    with pytest.raises(ReproduceError) as refusal:
        replay(of(record), [], ground)
    assert "flux_image_t2i: made on h200, here is h100" in str(refusal.value)
    assert "made by the runner's code 000000000000, here it is 111111111111" in str(refusal.value)
    assert "--anyway" in str(refusal.value)
    plan = replay(of(record), [], ground, anyway=True)
    assert plan.notes[0] == "flux_image_t2i: made on h200, here is h100"
    assert plan.generation.jobs[0].gpu == "h100"


def test_what_else_differs_from_what_the_manifest_names_is_said(catalogue: Catalogue) -> None:
    record = recorded(catalogue, "flux_image_t2i")
    old = of(record)
    record_of_run = old.run.model_copy(update={"tool": old.run.tool.model_copy(update={"commit": "a" * 40})})
    ground = replace(OURS, environment="sha256:" + "2" * 64)
    notes = replay(old.model_copy(update={"run": record_of_run}), [], ground).notes
    assert any(note.startswith(f"the tool was at commit {'a' * 40}, here it is ") for note in notes)
    assert "the Python environment was 000000000000, here it is 222222222222" in notes


def noted(catalogue: Catalogue, then: Tool, now: Tool) -> list[str]:
    old = of(recorded(catalogue, "flux_image_t2i"))
    run = old.run.model_copy(update={"tool": then})
    notes = replay(old.model_copy(update={"run": run}), [], replace(OURS, tool=now)).notes
    return [note for note in notes if "tool" in note]


def test_the_tool_is_compared_as_far_as_it_is_known(catalogue: Catalogue) -> None:
    unknown = Tool(version="1", commit=None, dirty=None)
    one, other = (Tool(version="1", commit=letter * 40, dirty=False) for letter in "ab")
    module, newer = of_module("sha256:aa"), of_module("sha256:bb")
    assert noted(catalogue, one, one) == noted(catalogue, module, module) == []
    assert noted(catalogue, unknown, one) == ["the manifest names neither commit nor source of the tool"]
    assert noted(catalogue, one, other) == [f"the tool was at commit {'a' * 40}, here it is {'b' * 40}"]
    assert noted(catalogue, module, newer) == ["the tool's source was sha256:aa, here it is sha256:bb"]
    assert noted(catalogue, module, one) == [f"the tool's source was sha256:aa, here it is {'a' * 40}"]
    dirty = one.model_copy(update={"dirty": True})
    assert noted(catalogue, dirty, one) == [f"the tool's checkout held changes that commit {'a' * 40} has not"]


def test_cases_that_failed_then_are_left_out_and_said(catalogue: Catalogue) -> None:
    old = of(recorded(catalogue, "flux_image_t2i"))
    failure = manifest({"bad": "failed"}).cases["bad"]
    plan = replay(old.model_copy(update={"cases": {**old.cases, "bad": failure}}), [], OURS)
    assert plan.records.keys() == {"flux_image_t2i"}
    assert "bad: was not made then either: failed: broken on purpose" in plan.notes
    with pytest.raises(ReproduceError, match="did you mean flux_image_t2i"):
        replay(old, ["flux_imag_t2i"], OURS)
    with pytest.raises(ReproduceError, match="no finished case"):
        replay(manifest({"bad": "failed"}), [], OURS)


def test_a_case_that_this_version_does_not_know_is_refused_with_the_way_out(catalogue: Catalogue) -> None:
    record = recorded(catalogue, "flux_image_t2i")
    newer = record.model_copy(update={"case": {**record.case, "sampler": "new"}})
    with pytest.raises(ReproduceError, match=r"sampler.*check out the tool's commit"):
        replay(of(newer), [], OURS)


def test_published_gt_of_several_runs_can_be_made_again(catalogue: Catalogue) -> None:
    one, other = of(recorded(catalogue, "flux_image_t2i")), of(recorded(catalogue, "qwen_image_t2i"))
    publication = merge(merge(None, one, ["flux_image_t2i"]), other, ["qwen_image_t2i"])
    assert publication is not None
    assert replay(publication, [], OURS).records.keys() == {"flux_image_t2i", "qwen_image_t2i"}


def test_where_bytes_differ_every_field_that_may_explain_it_is_said(catalogue: Catalogue) -> None:
    old = of(recorded(catalogue, "flux_image_t2i"))
    file = FileRecord(name="flux_image_t2i_1gpu.png", size=1, sha256="f" * 64, width=1, height=1)
    gpu = GpuRecord(kind="h100", name="NVIDIA H100 NVL", memory_bytes=94)
    now = recorded(catalogue, "flux_image_t2i", files=[file], versions={"torch": "3.0"}, gpu=gpu)
    report = reproduction(old, replay(old, [], OURS), of(now))
    assert not report.identical
    differs = report.cases["flux_image_t2i"].differs
    assert differs["versions.torch"] == ("2.11.0", "3.0")
    assert differs["gpu.name"] == ("NVIDIA H100", "NVIDIA H100 NVL")
    assert set(differs) == {"versions.torch", "gpu.name", "gpu.memory_bytes"}
    assert "flux_image_t2i: versions.torch was 2.11.0, is 3.0" in list(report.lines())


def test_a_case_that_could_not_be_made_again_is_not_the_same(catalogue: Catalogue) -> None:
    old = of(recorded(catalogue, "flux_image_t2i"))
    failed = CaseRecord(status="failed", reason="no network", source="diffusers", case={"id": "flux_image_t2i"})
    report = reproduction(old, replay(old, [], OURS), of(failed))
    assert not report.identical
    assert "flux_image_t2i: was not made: no network" in list(report.lines())


def test_the_planner_and_the_runner_agree_on_the_digest_of_the_code() -> None:
    assert runner.identity()["runner"] == runner_digest()
    assert RUNNER.is_dir()


def test_from_a_manifest_alone_the_same_bytes_come_out_and_other_bytes_are_measured(gt: Gt, tmp_path: Path) -> None:
    run = gt("generate", "--source-group", "smoke", "--case-ids", "smoke_t2i smoke_ti2i")
    assert run.returncode == 0, run.stderr
    artifact, copy = tmp_path / "gt", tmp_path / "alone"
    copy.mkdir()
    shutil.copy(artifact / "smoke_ti2i_1gpu.jpg", copy)
    _reseed(artifact / NAME, copy / NAME)
    run = gt("reproduce", str(copy / NAME), "--json", "found.json", "-o", "again")
    assert run.returncode == 1, run.stderr
    cases = json.loads((tmp_path / "found.json").read_text())["cases"]
    assert cases["smoke_t2i"]["identical"]
    name = "smoke_t2i_1gpu.jpg"
    assert (tmp_path / "again" / name).read_bytes() == (artifact / name).read_bytes()
    assert not cases["smoke_ti2i"]["identical"]
    assert cases["smoke_ti2i"]["differs"]["seed"] == [42, 43]
    assert cases["smoke_ti2i"]["files"]["smoke_ti2i_1gpu.jpg"]["metrics"]["psnr"] < 60
    assert gt("reproduce", "nowhere").returncode == 2


def _reseed(manifest: Path, copy: Path) -> None:
    """Let a copy of the manifest name another seed than the one that a file was made with."""
    data = json.loads(manifest.read_text())
    data["cases"]["smoke_ti2i"]["case"]["call"]["seed"] = 43
    copy.write_text(json.dumps(data))
