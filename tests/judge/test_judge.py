"""The promises of `gt check` and `gt compare`: clear lines, exit statuses to build on, and published GT from git."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ci import cli
from ci.errors import GtError
from ci.judge import on_machine
from gt_runner.errors import FetchError
from gt_runner.fetch.git import fetch_folder
from tests.conftest import ROOT, Gt
from tests.support import pictures
from tests.support.pictures import added, scene

ONE, TWO = "one_1gpu.png", "two_1gpu.png"
PATH = "ci/published"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return pictures.artifact(tmp_path / "gt", {ONE: scene(1), TWO: scene(2)})


@pytest.fixture
def gt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Gt:
    """The command's own entry point, in this process; the judge is a process of its own all the same."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["gt", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), *capsys.readouterr())

    return run


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A data repository: its tag `old` holds another image than its branch `main`."""
    folder = tmp_path / "data"
    (folder / "other").mkdir(parents=True)
    (folder / "other" / "large.bin").write_bytes(b"x" * 100_000)
    git(folder, "init", "--quiet")
    for image, tag in ((added(20)(scene(1)), "old"), (scene(1), "new")):
        pictures.write(folder / PATH, {ONE: image, TWO: scene(2)})
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", tag)
        git(folder, "tag", tag)
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder


def test_check_passes_a_sound_artifact_and_writes_every_metric(sound: Path, gt: Gt) -> None:
    done = gt("check", "--json", "metrics.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "gt: 2 images were looked at; none is bad",
        "gt: 2 of them are unreferenced: drift, shift, crop and swap were not looked for",
    ]
    assert json.loads((sound.parent / "metrics.json").read_text())["files"][ONE]["metrics"]["entropy"] > 0


def test_check_says_one_line_for_each_bad_file_and_exits_with_1(sound: Path, gt: Gt) -> None:
    pictures.write(sound, {ONE: pictures.noise(scene(1)), "stray.png": scene(3)})
    done = gt("check", "--artifact", str(sound))
    assert done.returncode == 1
    bad, stale, *_ = done.stderr.splitlines()
    assert re.match(r"gt: one_1gpu\.png: changed: sha256 \w+…, the manifest says \w+…; .*noise", bad)
    assert stale == "gt: stray.png: stale: it is in no manifest"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "--artifact", "nothing"], "is no artifact: it holds no manifest.json"),
        (["check", "--artifact", "nothing", "--images-only"], "nothing is no directory"),
        (
            ["check", "--artifact", "images"],
            "images holds no manifest.json; --images-only takes its images as they are",
        ),
        (["check", "--published", "nothing"], "--published nothing: there is no such directory"),
        (["compare"], "name what to compare with: --published, --engine or both"),
        (["compare", "--engine", "nothing"], "--engine nothing: there is no such directory"),
        (["compare", "--published", "images/one_1gpu.png"], "images/one_1gpu.png: is a file; name a directory"),
        (["compare", "--published", "images", "--noise-floor", "no.yaml"], "no.yaml cannot be read"),
        (["compare", "--published", "images", "--history", "gt/manifest.json"], "is no history of comparisons: line 1"),
        (["compare", "--published", "images", "--history", "images"], "images is no file; name another one"),
    ],
)
def test_what_cannot_be_judged_is_one_clear_line_and_status_2(
    sound: Path, gt: Gt, arguments: list[str], words: str
) -> None:
    pictures.write(sound.parent / "images", {ONE: scene(1)})
    done = gt(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_each_comparison_with_a_history_adds_a_line_to_it_and_a_point_to_the_report(sound: Path, gt: Gt) -> None:
    published = pictures.write(sound.parent / "published", {ONE: scene(1), TWO: scene(2)})
    for _ in range(2):
        done = gt("compare", "--published", str(published), "--engine", "gt", "--history", "trend/all.jsonl")
        assert done.returncode == 0
    lines = [json.loads(line) for line in (sound.parent / "trend" / "all.jsonl").read_text().splitlines()]
    assert [line["case"] for line in lines] == ["one", "two"] * 2
    assert lines[0]["published"] == lines[0]["engine"] == {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}
    assert "The last 2 of 2 comparisons" in (sound.parent / "comparison" / "report.html").read_text()


def test_compare_writes_report_json_and_junit_and_says_what_changed(sound: Path, gt: Gt) -> None:
    published = pictures.write(sound.parent / "published", {ONE: scene(1), TWO: added(9)(scene(2))})
    done = gt("compare", "--published", str(published), "-o", "out")
    assert done.returncode == 1
    assert {path.name for path in (sound.parent / "out").iterdir()} == {"compare.json", "junit.xml", "report.html"}
    counts, changed, where = done.stderr.splitlines()
    assert counts == "gt: against published: 1 changed, 1 identical"
    assert re.match(r"gt: two: changed: two_1gpu\.png: ssim 0\.\d+, psnr [\d.]+, mean_abs_diff [\d.]+$", changed)
    assert where == "gt: the report is out/report.html"


def test_compare_of_the_same_images_exits_with_0(sound: Path, gt: Gt) -> None:
    done = gt("compare", "--published", f"{sound}/manifest.json", "--engine", str(sound))
    assert done.returncode == 0
    assert done.stderr.splitlines()[:2] == ["gt: against published: 2 identical", "gt: against engine: 2 passed"]


def test_published_gt_is_taken_from_a_git_repository(sound: Path, repository: Path, gt: Gt) -> None:
    addresses = ((f"file://{repository}#new:{PATH}/manifest.json", 0), (f"{repository.name}#old:{PATH}", 1))
    for address, status in addresses:
        done = gt("compare", "--published", address)
        assert done.returncode == status, done.stderr


@pytest.mark.parametrize("ref", ["HEAD", "main", "old", "commit"])
def test_a_ref_is_a_branch_a_tag_or_a_commit(repository: Path, tmp_path: Path, ref: str) -> None:
    ref = git(repository, "rev-parse", "old") if ref == "commit" else ref
    (tmp_path / "fetched").mkdir()
    found = fetch_folder(f"file://{repository}", ref, PATH, tmp_path / "fetched")
    same = git(repository, "rev-parse", f"{ref}:{PATH}/{ONE}")
    assert git(repository, "hash-object", str(found / ONE)) == same


def test_only_the_folder_is_fetched(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "fetched").mkdir()
    found = fetch_folder(f"file://{repository}", "main", PATH, tmp_path / "fetched")
    assert sorted(path.name for path in found.iterdir()) == [ONE, TWO]
    fetched = [path for path in (tmp_path / "fetched").rglob("*") if path.is_file()]
    assert not [path for path in fetched if path.name == "large.bin"]
    assert git(tmp_path / "fetched", "rev-list", "--count", "HEAD") == "1"


def test_a_repository_that_is_not_there_is_named_by_the_line_of_git_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"git says: fatal: .*nothing"):
        fetch_folder(f"file://{tmp_path}/nothing", "HEAD", "", tmp_path)


@pytest.mark.parametrize(
    ("ref", "path", "words"),
    [("no", PATH, "couldn't find remote ref no"), ("main", "no", f"has no folder no; nearest to it is .*{PATH}")],
)
def test_a_ref_or_folder_that_is_not_there_is_named(
    repository: Path, tmp_path: Path, ref: str, path: str, words: str
) -> None:
    (tmp_path / "fetched").mkdir()
    with pytest.raises(FetchError, match=words):
        fetch_folder(f"file://{repository}", ref, path, tmp_path / "fetched")


def test_no_name_of_a_file_begins_a_line_of_its_own(tmp_path: Path, gt: Gt) -> None:
    names = ["a\nall is well_1gpu.png", "b\x1b[2J_1gpu.png", "c\u202e_1gpu.png"]
    pictures.write(tmp_path / "new", dict.fromkeys(names, scene(1)))
    pictures.write(tmp_path / "published", dict.fromkeys(names, scene(2)))
    pictures.write(tmp_path / "renamed", {"d\nall is well.png": scene(2)})
    pictures.write(tmp_path / "broken", dict.fromkeys(names, b"no image"))
    for command in (
        ("check", "--artifact", "broken"),
        ("compare", "--artifact", "new", "--published", "published"),
        ("compare", "--artifact", "renamed", "--published", "published"),
    ):
        done = gt(*command, "--images-only")
        assert done.returncode in (0, 1), done.stderr
        assert done.stderr.splitlines() == [line for line in done.stderr.split("\n") if line.startswith("gt: ")]
        assert "\x1b" not in done.stderr


def test_an_environment_that_cannot_judge_says_what_to_install(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_machine, "NEEDED", "a_module_that_is_not_there")
    with pytest.raises(GtError, match="leave out --no-dev"):
        on_machine.check({"artifact": str(sound)})


def test_planning_imports_neither_numpy_nor_torch() -> None:
    code = "import sys, ci.cli, ci.judge.on_machine; print({'numpy', 'torch', 'skimage', 'PIL'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "set()"


def test_the_judge_knows_of_the_runner_nothing_but_its_records() -> None:
    for path in (ROOT / "containers" / "runner" / "gt_judge").rglob("*.py"):
        assert "gt_runner" not in path.read_text(), path


def test_published_gt_at_hand_needs_no_git(sound: Path, gt: Gt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert gt("check", "--published", str(sound)).returncode == 0


def test_the_manifest_stands_for_its_folder_and_another_file_is_refused(sound: Path, gt: Gt) -> None:
    assert gt("check", "--artifact", "gt/manifest.json").returncode == 0
    done = gt("check", "--artifact", f"gt/{ONE}")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "name the folder that holds an artifact's images and its manifest.json" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [("[]", "published/manifest.json is no manifest"), ('{"schema_version": 2}', "made by a newer version")],
)
@pytest.mark.parametrize("place", ["", "h100"])
def test_a_published_manifest_of_another_shape_is_one_line_and_status_2(
    sound: Path, gt: Gt, place: str, text: str, words: str
) -> None:
    folder = sound.parent / "published" / place
    pictures.write(folder, {ONE: scene(1)})
    (folder / "manifest.json").write_text(text)
    for command in ("check", "compare"):
        done = gt(command, "--published", "published")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert words.replace("published/", f"published/{place}/" if place else "published/") in done.stderr


def test_a_result_that_cannot_be_written_is_said_before_anything_is_measured(sound: Path, gt: Gt) -> None:
    (sound.parent / "out").write_text("a file")
    done = gt("compare", "--published", "gt", "-o", "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "out" in done.stderr
