"""The promises of the artifact: just images and a manifest, nothing stale unseen, and a verdict on what is missing."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ci.artifact import folder
from ci.artifact.manifest import NAME, Manifest, read
from ci.artifact.verdict import verdict
from ci.catalogue.gpus import CPU
from ci.catalogue.model import Case
from ci.catalogue.selection import Selection
from ci.errors import ArtifactError
from ci.plan.generation import Generation
from ci.plan.host import Host
from tests.support.factory import case
from tests.support.records import content, file_record, manifest, results


@pytest.fixture
def gt_dir(tmp_path: Path) -> Path:
    """An artifact of two finished cases."""
    directory = tmp_path / "gt"
    folder.write(directory, manifest({"one": "ok", "two": "ok"}), results(tmp_path, "one", "two"))
    return directory


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_an_artifact_holds_images_and_the_manifest_only(gt_dir: Path) -> None:
    assert names(gt_dir) == {"one_1gpu.png", "two_1gpu.png", NAME}
    assert read(gt_dir).files.keys() == {"one_1gpu.png", "two_1gpu.png"}


def renamed(case: str, file: str) -> Manifest:
    """A run of one case whose file has another name than before."""
    base = manifest({case: "ok"})
    record = base.cases[case]
    files = [record.files[0].model_copy(update={"name": file})]
    return base.model_copy(update={"cases": {case: record.model_copy(update={"files": files})}})


def test_files_of_an_earlier_run_that_no_case_has_any_more_are_removed_and_named(gt_dir: Path, tmp_path: Path) -> None:
    results(tmp_path, "two")["two"].joinpath("two_2gpu.png").write_bytes(content("two"))
    lines = folder.write(gt_dir, renamed("two", "two_2gpu.png"), {"two": tmp_path / "two"})
    assert names(gt_dir) == {"one_1gpu.png", "two_2gpu.png", NAME}
    assert lines == [
        "removed two_1gpu.png: it is of an earlier run, and no case has it any more",
        "kept of an earlier run: one",
    ]
    assert verdict(gt_dir) == []
    lines = folder.write(gt_dir, manifest({"one": "ok"}), results(tmp_path, "one"), replace=True)
    assert names(gt_dir) == {"one_1gpu.png", NAME}
    assert lines == ["removed two_2gpu.png: it is of an earlier run, and no case has it any more"]


def test_a_file_of_somebody_else_is_left_and_named(gt_dir: Path, tmp_path: Path) -> None:
    (gt_dir / "notes.txt").write_text("mine")
    said = folder.write(gt_dir, manifest({"one": "ok", "two": "ok"}), results(tmp_path, "one", "two"))
    assert said == ["left notes.txt: it is in no manifest"]
    assert (gt_dir / "notes.txt").read_text() == "mine"


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "gt").write_text("a file")
    with pytest.raises(ArtifactError, match="choose another one with -o"):
        folder.write(tmp_path / "gt", manifest({"one": "failed"}), {})


def test_a_whole_artifact_has_no_problems(gt_dir: Path) -> None:
    assert verdict(gt_dir) == []


def test_a_run_of_other_cases_adds_to_the_artifact_and_the_selection_holds_both(gt_dir: Path, tmp_path: Path) -> None:
    before = read(gt_dir)
    lines = folder.write(gt_dir, manifest({"three": "ok"}), results(tmp_path, "three"))
    after = read(gt_dir)
    assert lines == ["kept of an earlier run: one two"]
    assert after.run.selection.case_ids == ["one", "two", "three"]
    assert {name: after.cases[name] for name in before.cases} == before.cases
    assert names(gt_dir) == {*after.files, NAME}
    assert verdict(gt_dir) == []


def test_a_case_that_is_made_again_takes_its_own_place_alone(gt_dir: Path, tmp_path: Path) -> None:
    (results(tmp_path, "one")["one"] / "one_1gpu.png").write_bytes(b"another")
    again = manifest({"one": "ok"})
    file = (
        again.cases["one"]
        .files[0]
        .model_copy(update={"sha256": hashlib.sha256(b"another").hexdigest(), "size": len(b"another")})
    )
    record = again.cases["one"].model_copy(update={"files": [file]})
    folder.write(gt_dir, again.model_copy(update={"cases": {"one": record}}), {"one": tmp_path / "one"})
    assert (gt_dir / "one_1gpu.png").read_bytes() == b"another"
    assert (gt_dir / "two_1gpu.png").read_bytes() == content("two")
    assert verdict(gt_dir) == []


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_run_that_finished_nothing_leaves_the_directory_as_it_was(gt_dir: Path, status: str, replace: bool) -> None:
    before = {path.name: path.read_bytes() for path in gt_dir.iterdir()}
    (line,) = folder.write(gt_dir, manifest({"one": status, "two": status}), {}, replace=replace)
    assert line == f"no case was finished: {gt_dir} is left as it was, with the artifact of an earlier run"
    assert {path.name: path.read_bytes() for path in gt_dir.iterdir()} == before


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_what_a_run_did_not_finish_keeps_its_earlier_image_and_is_bad(
    gt_dir: Path, tmp_path: Path, status: str
) -> None:
    before = read(gt_dir).cases["two"]
    folder.write(gt_dir, manifest({"one": "ok", "two": status}), results(tmp_path, "one"))
    assert read(gt_dir).cases["two"] == before
    assert names(gt_dir) == {"one_1gpu.png", "two_1gpu.png", NAME}
    assert verdict(gt_dir) == [f"two: {status}: broken on purpose; its files are those of an earlier run"]
    folder.write(gt_dir, manifest({"three": "ok"}), results(tmp_path, "three"))
    assert [line.split(":")[0] for line in verdict(gt_dir)] == ["two"]
    folder.write(gt_dir, manifest({"two": "ok"}), results(tmp_path, "two"))
    assert verdict(gt_dir) == []


def test_an_artifact_that_stands_for_all_that_was_asked_for_is_written_whatever_failed(gt_dir: Path) -> None:
    folder.rewrite(gt_dir, manifest({"one": "failed"}), {})
    assert verdict(gt_dir) == ["one: failed: broken on purpose"]
    assert names(gt_dir) == {NAME, "one_1gpu.png"}  # it was not made again, so it is left, and named by `check`


def changed(base: Manifest, **selection: Any) -> Manifest:
    """A run that asked for something else."""
    chosen = base.run.selection.model_copy(update=selection)
    return base.model_copy(update={"run": base.run.model_copy(update={"selection": chosen})})


def test_what_does_not_go_with_the_artifact_that_is_there_is_refused_and_changes_nothing(
    gt_dir: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in gt_dir.iterdir()}
    three = manifest({"three": "ok"})
    for other, reason in (
        (changed(three, mode="native"), "an artifact of mode smoke, and this run's is native"),
        (changed(three, on="cpu"), "cases on the kinds that they need, and this run's are moved to GPU kind cpu"),
        (renamed("three", "ONE_1gpu.png"), r"one_1gpu\.png, and another case of this run makes ONE_1gpu\.png"),
        (manifest({"One": "ok"}), "case one, which is One where upper and lower case are the same"),
    ):
        with pytest.raises(ArtifactError, match=f"{reason}; choose another directory with -o, or .*--replace"):
            folder.write(gt_dir, other, results(tmp_path, "three", "One"))
    assert {path.name: path.read_bytes() for path in gt_dir.iterdir()} == before
    folder.write(gt_dir, changed(three, mode="native"), results(tmp_path, "three"), replace=True)
    assert names(gt_dir) == {"three_1gpu.png", NAME}
    assert read(gt_dir).run.selection.mode == "native"


def test_a_manifest_that_cannot_be_read_is_not_written_over_unless_that_is_asked_for(
    gt_dir: Path, tmp_path: Path
) -> None:
    (gt_dir / NAME).write_text('{"schema_version": 2}')
    with pytest.raises(ArtifactError, match=r"made by a newer version of diffusion-gt[^$]*--replace"):
        folder.write(gt_dir, manifest({"one": "ok"}), results(tmp_path, "one"))
    folder.write(gt_dir, manifest({"one": "ok"}), results(tmp_path, "one"), replace=True)
    assert verdict(gt_dir) == []


def test_a_disk_that_fills_up_spoils_nothing(gt_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in gt_dir.iterdir()}

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"the first byt")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(ArtifactError, match="No space left on device; choose another one with -o"):
        folder.write(gt_dir, manifest({"one": "ok"}), results(tmp_path, "one"))
    assert {path.name: path.read_bytes() for path in gt_dir.iterdir()} == before


RUNS = 15  # of each process: without turns, nearly every one loses a case of the other


def runs(directory: Path, work: Path, letter: str, begin: float) -> None:
    """A process that ends one run after another, each of a case of its own and of one that others make too."""
    time.sleep(max(0.0, begin - time.time()))
    for number in range(RUNS):
        made = (f"{letter}{number}", "both")
        lines = folder.write(directory, manifest(dict.fromkeys(made, "ok")), results(work / letter, *made))
        assert not [line for line in lines if not line.startswith("kept of an earlier run")]


def test_runs_that_end_at_once_in_one_directory_all_end_up_there(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    begin = time.time() + 2
    writers = [spawn.Process(target=runs, args=(tmp_path / "gt", tmp_path, letter, begin)) for letter in "ab"]
    for each in writers:
        each.start()
    for each in writers:
        each.join(timeout=60)
    assert [each.exitcode for each in writers] == [0, 0]
    whole = read(tmp_path / "gt")
    assert whole.cases.keys() == {"both", *(f"{letter}{number}" for letter in "ab" for number in range(RUNS))}
    assert names(tmp_path / "gt") == {*whole.files, NAME}
    assert verdict(tmp_path / "gt") == []


def test_a_run_that_waits_for_another_one_s_writing_says_so_once(
    gt_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, files = manifest({"three": "ok"}), results(tmp_path, "three")
    other = os.open(gt_dir, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(folder.write, gt_dir, made, files)
        with pytest.raises(TimeoutError):
            writing.result(timeout=0.3)
        assert "three_1gpu.png" not in names(gt_dir)
        os.close(other)
        assert writing.result(timeout=60) == ["kept of an earlier run: one two"]
    assert caplog.messages == [f"another run is writing {gt_dir}; waiting for it"]


def test_a_file_system_that_locks_no_folder_is_written_all_the_same(
    gt_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # as NFS says it

    monkeypatch.setattr(fcntl, "flock", refuse)
    folder.write(gt_dir, manifest({"three": "ok"}), results(tmp_path, "three"))
    assert verdict(gt_dir) == []


def generation(*cases: Case, on: str | None = None, group: str = "smoke") -> Generation:
    return Generation(Selection(source_group=group), cases, [], Host(CPU), on)


def test_a_run_is_checked_against_the_directory_before_anything_is_made(gt_dir: Path, tmp_path: Path) -> None:
    three = case("three")
    folder.check(gt_dir, generation(three), {})
    with pytest.raises(ArtifactError, match="an artifact of mode smoke"):
        folder.check(gt_dir, generation(three, group=""), {})
    folder.check(gt_dir, generation(three, group=""), {}, replace=True)
    with pytest.raises(ArtifactError, match="holds one as the case files had it before; choose"):
        folder.check(gt_dir, generation(three), {"one": case("one"), "three": three})
    folder.check(gt_dir, generation(case("one"), three), {"one": case("one"), "three": three})
    assert verdict(gt_dir) == []


def test_a_directory_that_can_be_written_is_left_as_it_is(gt_dir: Path, tmp_path: Path) -> None:
    before = names(gt_dir)
    folder.check_writable(gt_dir)
    folder.check_writable(tmp_path / "not" / "there" / "yet")
    assert names(gt_dir) == before
    assert not (tmp_path / "not").exists()


def test_a_directory_that_cannot_be_written_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, reason in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below", "is a file"),
        (tmp_path / "link", "is a link to nothing"),
        (tmp_path / ("x" * 300), "too long"),
        (Path("/proc/gt"), "cannot be written"),
        (Path("/proc/gt/below"), "cannot be written"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(ArtifactError, match=f"(?i){reason}[^$]*set GT_CACHE"):
            folder.check_writable(path, "set GT_CACHE to a folder that can be")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        folder.check_writable(tmp_path / "gt")
    assert names(tmp_path) == {"file", "link"}


def test_the_verdict_names_failed_missing_and_changed(tmp_path: Path) -> None:
    directory = tmp_path / "gt"
    whole = manifest({"one": "ok", "two": "failed", "three": "ok", "four": "skipped", "five": "ok"})
    folder.write(directory, whole, results(tmp_path, "one", "three", "five"))
    (directory / file_record("one").name).unlink()
    (directory / file_record("three").name).write_bytes(b"other")
    data = json.loads((directory / NAME).read_text())
    del data["cases"]["five"]
    (directory / NAME).write_text(json.dumps(data))
    assert sorted(verdict(directory)) == [
        "five: missing: it was selected, and the manifest does not hold it",
        "four: skipped: broken on purpose",
        "one_1gpu.png: missing: the manifest names it",
        "three_1gpu.png: changed: its sha256 is not the manifest's",
        "two: failed: broken on purpose",
    ]


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": "2"}', '{"schema_version": 0}', "\x00", "[" * 9999])
def test_a_manifest_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ArtifactError, match="is no manifest of this version"):
        verdict(tmp_path)
