"""Collecting the artifacts of jobs: the whole comes back, whatever the split, and nothing a job delivered is lost."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci.artifact import folder as artifact
from ci.artifact import manifest as manifests
from ci.artifact.attest import statement, text
from ci.artifact.collect import ABSENT, collect, deliveries, ids_of
from ci.artifact.manifest import Manifest
from ci.artifact.records import CaseRecord, HostRecord, ProcessRecord, RemoteRecord
from ci.artifact.verdict import verdict
from ci.catalogue.files import Catalogue
from ci.errors import ArtifactError, GtError
from tests.conftest import Gt
from tests.support.factory import body, case, write_cases
from tests.support.records import content, manifest, record, results

NAMES = ("a", "b", "c", "d", "e", "f")
KNOWN = Catalogue({name: case(name) for name in NAMES}, {})
splits = st.fixed_dictionaries({}, optional={name: st.sampled_from(["one", "two", "three"]) for name in NAMES})


def whole(names: Mapping[str, str]) -> Manifest:
    """A run of these cases; every third of them failed."""
    base = manifest({name: "failed" if at % 3 == 2 else "ok" for at, name in enumerate(sorted(names))})
    return base.model_copy(update={"run": base.run.model_copy(update={"made": sorted(names)[::2]})})


def part(run: Manifest, names: list[str], second: int, **changes: Any) -> Manifest:
    """A job's manifest: of the run's cases just these, at a time and on a machine of its own."""
    record = run.run.model_copy(
        update={
            "selection": run.run.selection.model_copy(update={"case_ids": names}),
            "made": [name for name in run.run.made if name in names],
            "host": HostRecord(gpu="h100", gpu_name=f"GPU {second}", engine="v1"),
            "started": f"2026-01-01T00:00:{second:02}+00:00",
            "ended": f"2026-01-01T00:01:{second:02}+00:00",
            **changes,
        }
    )
    return run.model_copy(update={"run": record, "cases": {name: run.cases[name] for name in names}})


def deliver(folder: Path, given: Manifest) -> Path:
    """A job's artifact."""
    finished = [name for name, told in given.cases.items() if told.status == "ok"]
    artifact.write(folder, given, results(folder.parent.parent / "store", *finished))
    return folder


def matrix(*names: str) -> str:
    return json.dumps({"include": [{"job": name, "case_ids": name, "runner": "1-gpu-h100"} for name in names]})


def two(tmp_path: Path, **other: Any) -> Path:
    """The artifacts of two jobs: `a` is ok, `b` is what the test says."""
    run = whole({"a": "", "b": ""})
    deliver(tmp_path / "parts" / "one", part(run, ["a"], 1))
    deliver(tmp_path / "parts" / "two", part(run, ["b"], 2, **other))
    return tmp_path / "parts"


@settings(deadline=None)  # it writes files
@given(splits.filter(bool))
def test_the_parts_of_a_split_run_give_the_whole_back_whatever_the_split(split: Mapping[str, str]) -> None:
    run = whole(split)
    with tempfile.TemporaryDirectory() as folder:
        jobs = {job: [name for name in sorted(split) if split[name] == job] for job in sorted(set(split.values()))}
        times = dict(zip(jobs, range(1, 4), strict=False))
        for job, names in jobs.items():
            deliver(Path(folder) / "parts" / job, part(run, names, times[job]))
        held = deliveries(Path(folder) / "parts")
        collected, files = collect(held, ids_of(matrix(*sorted(split, reverse=True))), KNOWN)
        target = Path(folder) / "gt"
        assert not artifact.write(target, collected, files)
        found = {path.name: path.read_bytes() for path in target.iterdir() if path.name != manifests.NAME}
    assert collected.cases == run.cases
    assert list(collected.cases) == list(run.cases)
    assert found == {f"{name}_1gpu.png": content(name) for name, told in run.cases.items() if told.status == "ok"}
    assert collected.run.selection == run.run.selection
    assert (collected.run.tool, collected.run.made) == (run.run.tool, run.run.made)
    assert collected.run.started.endswith(f":00:{min(times.values()):02}+00:00")
    assert collected.run.ended.endswith(f":01:{max(times.values()):02}+00:00")
    told = {host.name: (host.cases, host.gpu_name, host.started) for host in collected.run.hosts}
    assert told == {job: (jobs[job], f"GPU {n}", f"2026-01-01T00:00:{n:02}+00:00") for job, n in times.items()}


@settings(deadline=None)
@given(splits, st.sets(st.sampled_from(NAMES), min_size=1))
def test_a_case_that_no_job_delivered_is_failed_and_takes_no_other_along(
    split: Mapping[str, str], selected: set[str]
) -> None:
    delivered = {name: job for name, job in split.items() if name in selected}
    if not delivered:
        return
    run = whole(delivered)
    with tempfile.TemporaryDirectory() as folder:
        deliver(Path(folder) / "parts" / "one", part(run, sorted(delivered), 1))
        collected, files = collect(deliveries(Path(folder) / "parts"), selected, KNOWN)
        artifact.write(Path(folder) / "gt", collected, files)
        problems = verdict(Path(folder) / "gt")
    assert collected.run.selection.case_ids == sorted(selected)
    absent = {name: told for name, told in collected.cases.items() if name not in delivered}
    assert {told.reason for told in absent.values()} <= {ABSENT}
    assert {name: told.case for name, told in absent.items()} == {name: KNOWN.cases[name].data() for name in absent}
    assert {name: collected.cases[name] for name in delivered} == run.cases
    failed = {name for name, told in run.cases.items() if told.status == "failed"} | absent.keys()
    assert {line.split(":")[0] for line in problems} == failed


def test_a_damaged_part_costs_its_own_case_only(tmp_path: Path) -> None:
    folder = two(tmp_path)
    (folder / "one" / "a_1gpu.png").write_bytes(b"cut o")
    (folder / "two" / "b_1gpu.png").unlink()
    deliver(folder / "three", part(whole({"d": ""}), ["d"], 3))
    collected, _ = collect(deliveries(folder), ["a", "b", "d"], KNOWN)
    assert [told.status for told in collected.cases.values()] == ["failed", "failed", "ok"]
    assert collected.cases["a"].reason == "its job's artifact is damaged: a_1gpu.png"


def test_a_case_from_two_jobs_is_refused_unless_it_is_the_same_but_for_times(tmp_path: Path) -> None:
    run = whole({"a": ""})
    timed = run.cases["a"].model_copy(
        update={"process": ProcessRecord(id="2", started="2026-01-02T00:00:00+00:00", nonce=None)}
    )
    deliver(tmp_path / "parts" / "one", part(run, ["a"], 1))
    deliver(tmp_path / "parts" / "two", part(run.model_copy(update={"cases": {"a": timed}}), ["a"], 2))
    collected, _ = collect(deliveries(tmp_path / "parts"), ["a"], KNOWN)
    assert collected.cases["a"] == run.cases["a"]
    other: CaseRecord = record("a", "failed")
    deliver(tmp_path / "parts" / "three", part(run.model_copy(update={"cases": {"a": other}}), ["a"], 3))
    with pytest.raises(ArtifactError, match="'a' came from both one and three, and not the same"):
        collect(deliveries(tmp_path / "parts"), ["a"], KNOWN)


def test_the_hosts_that_a_job_sent_cases_on_to_are_kept(tmp_path: Path) -> None:
    far = RemoteRecord(gpu="h200", gpu_name="far", engine="v1", name="gpu-b", cases=["b"])
    run = whole({"a": "", "b": ""})
    deliver(tmp_path / "parts" / "one", part(run, ["a", "b"], 1, hosts=[far]))
    collected, _ = collect(deliveries(tmp_path / "parts"), ["a", "b"], KNOWN)
    assert [(host.name, host.cases) for host in collected.run.hosts] == [("one", ["a"]), ("one/gpu-b", ["b"])]
    assert {host.started for host in collected.run.hosts} == {"2026-01-01T00:00:01+00:00"}


def test_a_native_case_is_not_taken_for_the_official_one_of_the_same_name(tmp_path: Path) -> None:
    both = Catalogue({"a": case("a"), "b": case("b")}, {}, native={name: case(name, "the/engines") for name in "ab"})
    run = whole({"a": ""})
    native = run.run.selection.model_copy(update={"mode": "native", "case_ids": ["a"]})
    deliver(tmp_path / "parts" / "one", part(run, ["a"], 1, selection=native))
    collected, _ = collect(deliveries(tmp_path / "parts"), ["a", "b"], both)
    assert collected.cases["b"].case == both.native["b"].data()
    assert collected.run.selection.mode == "native"


def test_the_provenance_of_the_whole_names_every_machine(tmp_path: Path) -> None:
    collected, files = collect(deliveries(two(tmp_path)), ["a", "b"], KNOWN)
    artifact.write(tmp_path / "gt", collected, files)
    build = json.loads(text(statement(tmp_path / "gt")))["predicate"]["buildDefinition"]
    assert [host["gpu_name"] for host in build["internalParameters"]["hosts"]] == ["GPU 1", "GPU 2"]


def test_the_only_artifact_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    deliver(tmp_path / "parts", part(whole({"a": ""}), ["a"], 1))
    assert [held.name for held in deliveries(tmp_path / "parts")] == ["parts"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"tool": {"version": "9", "commit": None, "dirty": False}}, "versions of diffusion-gt"),
        ({"selection": {"mode": "native", "source_group": "all", "case_ids": ["b"], "on": None}}, "modes"),
        ({"selection": {"mode": "smoke", "source_group": "all", "case_ids": ["b"], "on": "cpu"}}, "GPU kinds"),
    ],
)
def test_parts_of_different_runs_are_refused(tmp_path: Path, other: dict[str, Any], said: str) -> None:
    run = whole({"a": "", "b": ""}).run
    changes = {key: getattr(run, key).model_validate(value) for key, value in other.items()}
    with pytest.raises(ArtifactError, match=f"one and two are of different {said}"):
        collect(deliveries(two(tmp_path, **changes)), ["a", "b"], KNOWN)


def test_what_no_matrix_or_no_case_file_has_is_refused(tmp_path: Path) -> None:
    folder = two(tmp_path)
    with pytest.raises(ArtifactError, match="two holds case 'b', which no job of the matrix has"):
        collect(deliveries(folder), ["a"], KNOWN)
    with pytest.raises(ArtifactError, match=r"'z' of the matrix is in no case file; .*--cases"):
        collect(deliveries(folder), ["a", "b", "z"], KNOWN)
    for told in ("", "[]", '{"include": []}', '{"include": [{"job": "a"}]}'):
        with pytest.raises(GtError, match="this is no matrix"):
            ids_of(told)


def test_a_folder_without_artifacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is no directory; name the folder in which the artifacts"):
        deliveries(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="no job delivered one; name the folder in which the artifacts"):
        deliveries(tmp_path)
    (tmp_path / "one").mkdir()
    with pytest.raises(ArtifactError, match=r"holds no manifest\.json"):
        deliveries(tmp_path)


def test_the_command_collects_and_the_verdict_judges_the_whole(tmp_path: Path, gt: Gt) -> None:
    write_cases(tmp_path / "cases", {name: body() for name in ("a", "b", "c")})
    two(tmp_path)
    (tmp_path / "matrix.json").write_text(matrix("a", "b", "c"))
    done = gt("collect", "parts", "--matrix", "matrix.json", "--cases", "cases", "-o", "gt")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [f"gt: c: failed: {ABSENT}", "gt: 2 of 3 cases are in gt"]
    judged = gt("verdict", "--artifact", "gt")
    assert (judged.returncode, judged.stderr) == (1, f"gt: c: failed: {ABSENT}\n")
    unread = gt("collect", "parts", "--matrix", "none.json")
    assert unread.returncode == 2
    assert "none.json cannot be read" in unread.stderr
