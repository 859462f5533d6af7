"""The promises of the artifact: just images and a manifest, nothing stale unseen, and a verdict on what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.artifact import folder
from ci.artifact.manifest import NAME, read
from ci.artifact.verdict import verdict
from ci.errors import ArtifactError
from tests.support.records import file_record, manifest, results


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


def test_files_of_an_earlier_run_that_no_case_has_any_more_are_removed_and_named(gt_dir: Path, tmp_path: Path) -> None:
    said = folder.write(gt_dir, manifest({"one": "ok"}), results(tmp_path, "one"))
    assert names(gt_dir) == {"one_1gpu.png", NAME}
    assert said == ["removed two_1gpu.png: it is of an earlier run, and no case has it any more"]


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


def test_the_verdict_names_failed_missing_and_changed(tmp_path: Path) -> None:
    directory = tmp_path / "gt"
    whole = manifest({"one": "ok", "two": "failed", "three": "ok", "four": "skipped", "five": "ok"})
    folder.write(directory, whole, results(tmp_path, "one", "three", "five"))
    (directory / file_record("one").name).unlink()
    (directory / file_record("three").name).write_bytes(b"other")
    text = (directory / NAME).read_text().replace('"five": {', '"six": {')
    (directory / NAME).write_text(text)
    assert sorted(verdict(directory)) == [
        "five: missing: it was selected, and the manifest does not hold it",
        "four: skipped: broken on purpose",
        "one_1gpu.png: missing: the manifest names it",
        "three_1gpu.png: changed: its sha256 is not the manifest's",
        "two: failed: broken on purpose",
    ]


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 2}', "\x00"])
def test_a_manifest_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ArtifactError, match="is no manifest of this version"):
        verdict(tmp_path)
