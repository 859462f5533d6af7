"""The promises of publishing: one commit or none, and nothing changes that nobody has agreed to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ci.artifact.manifest import NAME, Manifest
from ci.catalogue.gpus import folder_of
from ci.errors import ArtifactError, GateError, PublishError
from ci.publish.batch import batch
from ci.publish.remotes.base import blob_id
from ci.publish.source import CiRun
from tests.support.git_server import git, push
from tests.support.publishers import DIRECTORY, FOLDER, OTHERS, Place, artifact, file_record, write


def test_a_run_is_one_commit_with_the_images_and_the_manifest(place: Place, tmp_path: Path) -> None:
    before = place.commits()
    run = CiRun("https://ci/1", "refs/heads/main", "0123abc", "somebody")
    done = place.publish(artifact(tmp_path / "gt", {"a": b"image a", "b": b"image b"}), run=run)
    assert done.news
    assert place.commits() == [done.commit, *before]
    expected = OTHERS | {f"{FOLDER}/a_1gpu.png": b"image a", f"{FOLDER}/b_1gpu.png": b"image b"}
    files = place.files()
    assert {name: content for name, content in files.items() if name != f"{FOLDER}/{NAME}"} == expected
    assert place.manifest().files.keys() == {"a_1gpu.png", "b_1gpu.png"}
    for told in ("new: a b", "tool: diffusion-gt 0", "gpu: h100"):
        assert told in place.message()
    assert trailers(place)[:-1] == [
        "Run: https://ci/1",
        "Triggered-by: somebody",
        "Source-ref: refs/heads/main",
        "Source-sha: 0123abc",
        "Torch: 2.11.0",
    ]


def test_a_run_that_has_nothing_new_makes_no_commit_and_names_the_one_that_holds_it(
    place: Place, tmp_path: Path
) -> None:
    first = place.publish(artifact(tmp_path / "gt", {"a": b"image a"}))
    again = place.publish(artifact(tmp_path / "again", {"a": b"image a"}))
    assert (again.news, again.commit) == (False, first.commit)
    assert place.commits()[0] == first.commit


def trailers(place: Place) -> list[str]:
    """The trailers of the newest commit, as git itself reads them."""
    return git("-C", str(place.bare), "log", "-1", "--format=%(trailers:unfold)", "main").strip().splitlines()


def test_a_published_image_changes_only_where_that_was_accepted(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"old a", "b": b"b"}))
    before = place.files()
    changed = artifact(tmp_path / "two", {"a": b"new a", "b": b"b", "c": b"c"})
    with pytest.raises(PublishError, match=r"a: a_1gpu\.png in gt/official/h100 would change") as refused:
        place.publish(changed)
    assert "--accept CASE --reason TEXT" in str(refused.value)
    assert place.files() == before
    done = place.publish(changed, accept={"a": "new weights\nSigned-off-by: nobody"})
    assert done.changes.changed == ["a"]
    assert place.files()[f"{FOLDER}/a_1gpu.png"] == b"new a"
    assert "changed: a: new weights Signed-off-by: nobody" in place.message()
    publication = place.manifest().publication
    assert publication is not None
    accepted = publication.cases["a"].accepted
    assert accepted is not None
    assert accepted.replaced == {"a_1gpu.png": blob_id(b"old a")}


def test_an_image_that_is_in_no_manifest_is_published_all_the_same_and_not_overwritten(
    place: Place, tmp_path: Path
) -> None:
    with pytest.raises(PublishError, match="would change"):
        place.publish(artifact(tmp_path / "gt", {"other": b"ours"}))
    assert not place.publish(artifact(tmp_path / "same", {"other": b"another's image"})).changes.changed


def test_failed_cases_are_left_out_and_named(place: Place, tmp_path: Path) -> None:
    directory = artifact(tmp_path / "gt", {"a": b"a", "bad": None})
    assert batch(directory, DIRECTORY).omissions == ["bad is not published: failed: broken on purpose"]
    place.publish(directory)
    assert place.manifest().cases.keys() == {"a"}


def test_a_failed_case_leaves_what_was_published_before(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"a", "b": b"b"}))
    place.publish(artifact(tmp_path / "two", {"a": None, "c": b"c"}))
    assert place.manifest().cases.keys() == {"a", "b", "c"}
    assert place.files()[f"{FOLDER}/a_1gpu.png"] == b"a"


def test_retired_cases_go_when_that_is_asked_for_and_others_files_stay(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"a", "old": b"old"}))
    place.publish(artifact(tmp_path / "two", {"a": b"a", "c": b"c"}), ids=None)
    assert f"{FOLDER}/old_1gpu.png" in place.files()
    done = place.publish(artifact(tmp_path / "three", {"a": b"a"}), ids={"a", "c"})
    assert done.changes.removed == ["old"]
    assert place.files().keys() == OTHERS.keys() | {f"{FOLDER}/{name}" for name in ("a_1gpu.png", "c_1gpu.png", NAME)}
    assert place.manifest().cases.keys() == {"a", "c"}
    assert "removed: old" in place.message()


def test_a_case_whose_file_has_a_new_name_takes_the_old_one_away(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"a"}))
    renamed = artifact(tmp_path / "two", {"a": b"a"})
    manifest = Manifest.model_validate_json((renamed / NAME).read_text())
    record = manifest.cases["a"].model_copy(update={"files": [file_record("a_2gpu.png", b"a")]})
    write(renamed, manifest.model_copy(update={"cases": {"a": record}}))
    (renamed / "a_1gpu.png").rename(renamed / "a_2gpu.png")
    with pytest.raises(PublishError, match=r"a_1gpu\.png in gt/official/h100 would change"):
        place.publish(renamed)
    place.publish(renamed, accept={"a": "two GPUs now"})
    assert {name for name in place.files() if "/a_" in name} == {f"{FOLDER}/a_2gpu.png"}


def test_a_file_that_one_case_gives_up_and_another_takes_stays(path: Place, tmp_path: Path) -> None:
    path.publish(artifact(tmp_path / "one", {"a": b"a"}))
    taken = artifact(tmp_path / "two", {"a": b"new a", "b": b"b"})
    manifest = Manifest.model_validate_json((taken / NAME).read_text())
    names = {"a": ("a_2gpu.png", b"new a"), "b": ("a_1gpu.png", b"a")}
    cases = {
        case: manifest.cases[case].model_copy(update={"files": [file_record(name, content)]})
        for case, (name, content) in names.items()
    }
    write(taken, manifest.model_copy(update={"cases": cases}))
    for name, content in names.values():
        (taken / name).write_bytes(content)
    path.publish(taken, accept={"a": "two GPUs now"})
    assert {name: path.files()[f"{FOLDER}/{name}"] for name in ("a_1gpu.png", "a_2gpu.png")} == dict(names.values())


def of_kinds(folder: Path, contents: dict[str, tuple[str, bytes]]) -> Path:
    """An artifact whose cases were made on these GPU kinds."""
    made = artifact(folder, {name: content for name, (_, content) in contents.items()})
    data = json.loads((made / NAME).read_text())
    for name, (kind, _) in contents.items():
        data["cases"][name]["gpu"]["kind"] = kind
    (made / NAME).write_text(json.dumps(data))
    return made


def test_each_gpu_kind_has_its_folder_by_the_name_that_the_kinds_are_kept_under(place: Place, tmp_path: Path) -> None:
    kinds = {name: (name, name.encode()) for name in ("h200", "5090", "h100-pcie", "mi355x", "cpu")}
    place.publish(of_kinds(tmp_path / "gt", kinds))
    folders = {f"{DIRECTORY}/{folder_of(name)}" for name in kinds}
    assert {path.rpartition("/")[0] for path in place.files().keys() - OTHERS.keys()} == folders
    assert f"{DIRECTORY}/5090" in folders  # as upstream has it
    for name in kinds:
        assert place.manifest(f"{DIRECTORY}/{folder_of(name)}").cases.keys() == {name}


def test_the_directory_itself_is_published_to_when_that_is_asked_for(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "gt", {"a": b"a"}), bare=True)
    assert place.files().keys() - OTHERS.keys() == {f"{DIRECTORY}/a_1gpu.png", f"{DIRECTORY}/{NAME}"}


def test_the_gate_gets_what_is_published_for_each_gpu_kind_with_one_manifest(place: Place, tmp_path: Path) -> None:
    place.publish(of_kinds(tmp_path / "one", {"a": ("h100", b"a"), "b": ("h200", b"b"), "c": ("h100", b"c")}))
    seen: dict[str, str] = {}

    def gate(_: Path, published: Path) -> None:
        cases = Manifest.model_validate_json((published / NAME).read_text()).cases
        seen.update({name: record.gpu.kind for name, record in cases.items() if record.gpu is not None})
        assert {path.name for path in published.iterdir()} == {NAME, "a_1gpu.png", "b_1gpu.png"}

    place.publish(of_kinds(tmp_path / "two", {"a": ("h100", b"a"), "b": ("h200", b"b")}), gate=gate)
    assert seen == {"a": "h100", "b": "h200"}


def test_a_case_that_was_moved_to_another_kind_goes_to_that_kinds_folder_and_changes_no_other(
    place: Place, tmp_path: Path
) -> None:
    place.publish(of_kinds(tmp_path / "one", {"a": ("h200", b"a")}))
    moved = artifact(tmp_path / "two", {"a": b"another a"}, on="h100")
    done = place.publish(moved)
    assert (done.changes.new, done.notes) == (["a"], ())
    files = place.files()
    assert (files[f"{DIRECTORY}/h200/a_1gpu.png"], files[f"{FOLDER}/a_1gpu.png"]) == (b"a", b"another a")


def test_what_readers_of_a_kind_see_instead_of_a_bare_file_is_said_once(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"a", "b": b"b"}), bare=True)
    made = artifact(tmp_path / "two", {"a": b"another a", "b": b"b"})
    now = f"{FOLDER}/a_1gpu.png is what readers of h100 see now, instead of {DIRECTORY}/a_1gpu.png"
    assert place.publish(made).notes == (now,)
    assert place.publish(made).notes == ()


def test_a_branch_that_is_not_there_is_made_on_top_of_the_default_one(place: Place, tmp_path: Path) -> None:
    before = place.commits()
    done = place.publish(artifact(tmp_path / "gt", {"a": b"a"}), branch="gt/try")
    assert place.commits("gt/try") == [done.commit, *before]
    assert place.commits("main") == before


def test_a_new_branch_for_content_that_is_there_already_is_made_without_a_commit(place: Place, tmp_path: Path) -> None:
    directory = artifact(tmp_path / "gt", {"a": b"a"})
    first = place.publish(directory)
    done = place.publish(directory, branch="gt/try")
    assert (done.news, place.commits("gt/try")[0]) == (False, first.commit)


def test_the_gate_comes_first_and_sees_what_is_published_under_the_same_names(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"old a", "b": b"b", "c": b"c"}))
    seen: dict[str, bytes] = {}

    def refuses(_: Path, published: Path) -> None:
        seen.update({path.name: path.read_bytes() for path in published.iterdir() if path.name != NAME})
        raise GateError("a_1gpu.png: noise")

    before = place.commits()
    with pytest.raises(GateError, match=r"a_1gpu\.png: noise[^$]*Nothing was published"):
        place.publish(
            artifact(tmp_path / "two", {"a": b"new a", "b": b"b", "d": b"d"}), gate=refuses, accept={"b": "x"}
        )
    assert seen == {"a_1gpu.png": b"old a"}
    assert place.commits() == before


def test_what_a_manifest_names_is_published_only_as_it_names_it(place: Place, tmp_path: Path) -> None:
    directory = artifact(tmp_path / "gt", {"a": b"a"})
    (directory / "a_1gpu.png").write_bytes(b"another")
    with pytest.raises(PublishError, match=r"a_1gpu\.png was changed"):
        place.publish(directory)
    (directory / "a_1gpu.png").unlink()
    with pytest.raises(PublishError, match="cannot be read"):
        place.publish(directory)


@pytest.mark.parametrize(
    ("selection", "target", "told"),
    [
        ({}, "gt/h100", "gt/h100 is the folder of a GPU kind"),
        ({}, "cpu/", "cpu/ is the folder of a GPU kind"),
        ({"mode": "smoke"}, "", "smoke cases are for trying out"),
        ({}, "/etc", "is no directory of the data repository"),
        ({}, "a/../../b", "is no directory of the data repository"),
        ({}, ".git/hooks", "is no directory of the data repository"),
        ({}, "a\\b", "is no directory of the data repository"),
        ({}, "a/./b", "is no directory of the data repository"),
        ({}, "a//b", "is no directory of the data repository"),
        ({}, "a/.GIT", "is no directory of the data repository"),
        ({}, "a/nul.txt", "is no directory of the data repository"),
        ({}, "a/b. ", "is no directory of the data repository"),
        ({}, "a\nb", "is no directory of the data repository"),
        ({"mode": "native"}, "", "of mode native, and holds cases of diffusers"),
    ],
)
def test_what_does_not_belong_into_a_directory_is_refused(
    tmp_path: Path, selection: dict[str, Any], target: str, told: str
) -> None:
    with pytest.raises(PublishError, match=told):
        batch(artifact(tmp_path / "gt", {"a": b"a"}, **selection), target)


def test_the_mode_has_its_directory_and_moved_cases_may_go_to_their_kinds_or_to_one_of_ones_own(tmp_path: Path) -> None:
    base = "diffusion-ci/consistency_gt"
    assert set(batch(artifact(tmp_path / "1", {"a": b"a"})).folders) == {f"{base}/official_generated/h100"}
    native = artifact(tmp_path / "2", {"a": b"a"}, "sglang", mode="native")
    assert set(batch(native).folders) == {f"{base}/sglang_generated/h100"}
    moved = artifact(tmp_path / "3", {"a": b"a"}, on="h100")
    assert set(batch(moved).folders) == {f"{base}/official_generated/h100"}
    assert set(batch(moved, "mine/", bare=True).folders) == {"mine"}
    with pytest.raises(PublishError, match=r"moved to GPU kind h100[^$]*without --bare"):
        batch(moved, bare=True)


@pytest.mark.parametrize("mode", ["official", "native"])
@pytest.mark.parametrize("source", ["official", "native", "smoke", "all", "check", "sglang"])
def test_the_directory_is_never_that_of_another_mode(tmp_path: Path, mode: str, source: str) -> None:
    directory = artifact(tmp_path / "gt", {"a": b"a"}, source, mode=mode)
    if (mode, source) == ("native", "sglang"):
        assert set(batch(directory).folders) == {"diffusion-ci/consistency_gt/sglang_generated/h100"}
    else:
        with pytest.raises(PublishError, match=f"of mode {mode}, and holds cases of {source}"):
            batch(directory)


HOSTILE = ("../../../../evil/x", "..", ".", ".git", "", "x" * 201, "a\\b", "a\nb", "\x1b[2J", "con", "nul.png", "a. ")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place_of_name", ["source", "gpu", "id", "file", "on", "host", "input"])
def test_no_name_of_a_manifest_becomes_a_path_of_somebody_elses(tmp_path: Path, name: str, place_of_name: str) -> None:
    directory = artifact(tmp_path / "gt", {"a": b"a"})
    data = json.loads((directory / NAME).read_text())
    case = data["cases"]["a"]
    match place_of_name:
        case "source":
            case["source"] = name
        case "gpu":
            case["gpu"]["kind"] = name
        case "file":
            case["files"][0]["name"] = name
        case "id":
            data["cases"] = {name: case | {"case": {"id": name}}}
        case "on":
            data["run"]["selection"]["on"] = name
        case "host":
            data["run"]["host"]["gpu"] = name
        case "input":
            case["inputs"] = [{"path": f"inputs/{name}/x", "sha256": "0" * 64}]
    (directory / NAME).write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match="is no manifest of this version"):
        batch(directory)


def test_what_the_folder_of_a_gpu_kind_hides_is_not_published_unless_that_is_wanted(
    place: Place, tmp_path: Path
) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"a", "b": b"b"}))
    before = place.commits()
    later = artifact(tmp_path / "two", {"a": b"another a", "b": b"b", "c": b"c"})
    with pytest.raises(PublishError) as refused:
        place.publish(later, bare=True)
    hidden = f"{DIRECTORY}/a_1gpu.png is hidden by {FOLDER}/a_1gpu.png, where readers look first"
    assert str(refused.value).splitlines()[-1] == hidden
    assert "Without --bare" in str(refused.value)
    assert place.commits() == before
    done = place.publish(later, bare=True, allow_hidden=True)
    assert hidden in done.notes
    assert place.files()[f"{FOLDER}/a_1gpu.png"] == b"a"


def test_native_gt_that_readers_find_as_official_gt_first_is_named(place: Place, tmp_path: Path) -> None:
    place.publish(of_kinds(tmp_path / "one", {"a": ("h100", b"a"), "b": ("b200", b"b")}), target="")
    native = artifact(tmp_path / "two", {"a": b"native a", "b": b"native b"}, "sglang", mode="native")
    done = place.publish(native, target="")  # that official GT of b200 comes first means nothing to readers of h100
    base = "diffusion-ci/consistency_gt"
    hidden = f"{base}/sglang_generated/h100/a_1gpu.png is hidden by {base}/official_generated/h100/a_1gpu.png"
    assert done.notes == (f"{hidden}, where readers look first",)
    bare = place.publish(native, target="", bare=True, allow_hidden=True)
    assert len([note for note in bare.notes if "official_generated" in note]) == 2


@pytest.mark.parametrize("name", ["OTHER_1gpu.png", "Other_1GPU.PNG"])
def test_a_file_that_is_another_one_on_some_systems_is_refused(place: Place, tmp_path: Path, name: str) -> None:
    directory = artifact(tmp_path / "gt", {"other": b"ours"})
    manifest = Manifest.model_validate_json((directory / NAME).read_text())
    record = manifest.cases["other"].model_copy(update={"files": [file_record(name, b"ours")]})
    write(directory, manifest.model_copy(update={"cases": {"other": record}}))
    (directory / "other_1gpu.png").rename(directory / name)
    with pytest.raises(PublishError, match=f"{FOLDER}/{name} and {FOLDER}/other_1gpu.png, which is published"):
        place.publish(directory)


@pytest.mark.parametrize("name", ["a_1gpu.png", NAME])
def test_a_folder_that_has_a_files_name_is_never_replaced(place: Place, tmp_path: Path, name: str) -> None:
    push(place.bare, {f"{FOLDER}/{name}/theirs.txt": b"theirs"})
    before = place.commits()
    with pytest.raises(PublishError, match=rf"{FOLDER}/{name} is a folder in the data repository, with .*theirs\.txt"):
        place.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    assert place.commits() == before


def test_ids_that_are_one_on_some_systems_are_refused_in_a_manifest_and_against_what_is_published(
    place: Place, tmp_path: Path
) -> None:
    both = artifact(tmp_path / "both", {"a": b"a", "bb": b"b"})
    (both / NAME).write_text((both / NAME).read_text().replace('"bb"', '"A"'))
    with pytest.raises(ArtifactError, match="a and A are one case where upper and lower case are the same"):
        batch(both, DIRECTORY)
    place.publish(artifact(tmp_path / "one", {"a": b"a"}))
    with pytest.raises(PublishError, match="where upper and lower case are the same"):
        place.publish(artifact(tmp_path / "two", {"A": b"b"}))


FORGED = "x\n\nSigned-off-by: nobody\r\x0bReviewed-by: nobody\u2028Co-authored-by: nobody\x1b[2J"


def test_nothing_that_is_written_into_the_message_looks_like_a_trailer(place: Place, tmp_path: Path) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"old"}))
    directory = artifact(tmp_path / "gt", {"a": b"a", "b": b"b"})
    data = json.loads((directory / NAME).read_text())
    data["run"]["tool"]["version"] = FORGED
    data["cases"]["a"]["versions"] = {"torch": FORGED}
    data["cases"]["a"]["gpu"]["name"] = FORGED
    (directory / NAME).write_text(json.dumps(data))
    place.publish(directory, accept={"a": FORGED}, run=CiRun(FORGED, FORGED, FORGED, FORGED))
    lines = place.message().splitlines()
    keys = ["Run", "Triggered-by", "Source-ref", "Source-sha", "Torch", "Diffusion-GT-Manifest"]
    assert [trailer.partition(": ")[0] for trailer in trailers(place)] == keys
    assert not [line for line in lines if line.startswith(("Signed", "Reviewed", "Co-authored"))]
    assert [line for line in lines if line.startswith("Diffusion-GT-Manifest: ")] == lines[-1:]
    assert "\x1b" not in place.message()


def test_an_artifact_without_a_finished_case_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="nothing to publish"):
        batch(artifact(tmp_path / "gt", {"a": None}), DIRECTORY)
    with pytest.raises(ArtifactError):
        batch(tmp_path, DIRECTORY)


def test_a_manifest_that_this_version_cannot_read_is_not_overwritten(place: Place, tmp_path: Path) -> None:
    push(place.bare, {f"{FOLDER}/{NAME}": b'{"schema_version": 9}'})
    with pytest.raises(PublishError, match=r"made by a newer version of diffusion-gt[^$]*it would be overwritten"):
        place.publish(artifact(tmp_path / "gt", {"a": b"a"}))


@pytest.mark.parametrize("kind", ["120000", "160000"], ids=["link", "submodule"])
@pytest.mark.parametrize("name", ["a_1gpu.png", "manifest.json", ""], ids=["image", "manifest", "folder"])
def test_what_is_no_file_there_is_told_in_words_and_never_replaced(
    place: Place, tmp_path: Path, kind: str, name: str
) -> None:
    repository = ("-C", str(place.bare))
    identity = git(*repository, "rev-parse", "main:README.md" if kind == "120000" else "main")
    path = f"{FOLDER}/{name}".rstrip("/")
    env = {"GIT_INDEX_FILE": str(tmp_path / "index")}
    git(*repository, "read-tree", "main", env=env)
    lines = f"0 {'0' * 40}\t{FOLDER}/other_1gpu.png\n{kind} {identity}\t{path}\n"
    git(*repository, "update-index", "--index-info", stdin=lines.encode(), env=env)
    commit = git(*repository, "commit-tree", git(*repository, "write-tree", env=env), "-p", "main", "-m", "theirs")
    git(*repository, "update-ref", "refs/heads/main", commit)
    with pytest.raises(PublishError, match=r"is a link or a submodule in the data repository, (no file|not a folder);"):
        place.publish(artifact(tmp_path / "gt", {"a": b"a"}))
    place.publish(artifact(tmp_path / "gt", {"a": b"a"}), target="gt/elsewhere")
    assert place.commits()[1] == commit


def test_a_folder_that_is_a_file_there_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"README\.md is a file"):
        place.publish(artifact(tmp_path / "gt", {"a": b"a"}), target="README.md/gt")


def test_an_accepted_case_that_is_not_published_is_named(place: Place, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="did you mean case_a"):
        place.publish(artifact(tmp_path / "gt", {"case_a": b"a"}), accept={"case_b": "x"})
