"""The promises of `gt fetch`: just what was published and asked for, whole, from a commit that the lock names."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ci.artifact.manifest import NAME, read
from ci.errors import ArtifactError, FetchError, PublishError
from ci.publish.fetch import directory as directories
from ci.publish.fetch import lock as locks
from ci.publish.fetch.fetch import Order, run
from ci.publish.fetch.request import Request
from ci.publish.remotes.opening import reading
from tests.conftest import ROOT, Gt
from tests.publish.fetch.conftest import QUICK, Consumer
from tests.support.git_server import Fault, GitServer, git, push

Publish = Callable[..., str]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_asked_cases_come_from_the_commit_with_a_manifest_of_their_own_and_a_lock(
    consumer: Consumer, publish: Publish
) -> None:
    commit = publish({"a": b"image a", "b": b"image b", "c": b"image c"})
    done = consumer.fetch("main", "gt/official", "h100", "a", "b")
    assert (done.lock.commit, done.count) == (commit, 2)
    files = consumer.files()
    assert {name: files[name] for name in files if name != NAME} == {"a_1gpu.png": b"image a", "b_1gpu.png": b"image b"}
    manifest = read(consumer.directory)
    assert (list(manifest.cases), [*manifest.files]) == (["a", "b"], ["a_1gpu.png", "b_1gpu.png"])
    lock = consumer.locked()
    assert (lock.revision, lock.commit, lock.manifest) == ("main", commit, sha256(files[NAME]))
    assert {name: file.sha256 for name, file in lock.files.items()} == {
        "a_1gpu.png": sha256(b"image a"),
        "b_1gpu.png": sha256(b"image b"),
    }
    assert {file.verified for file in lock.files.values()} == {"manifest"}


def test_the_lock_is_one_line_for_each_file_and_a_branch_that_moved_changes_few_of_them(
    consumer: Consumer, publish: Publish
) -> None:
    publish({name: name.encode() for name in "abcdef"})
    consumer.fetch()
    before = consumer.lock.read_text().splitlines()
    assert [line for line in before if "_1gpu.png" in line] == [
        f'"{name}_1gpu.png" = {{ sha256 = "{sha256(name.encode())}", path = "gt/official/{name}_1gpu.png", '
        'verified = "manifest" }'
        for name in "abcdef"
    ] + [line for line in before if "other" in line]
    publish({"c": b"new c"})
    consumer.again(update=True)
    after = consumer.lock.read_text().splitlines()
    assert len(after) == len(before)
    changed = [line.split(" = ")[0] for old, line in zip(before, after, strict=True) if old != line]
    assert changed == ["commit", "manifest", '"c_1gpu.png"']


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated", "whole name", "commit", "short tip", "short", "HEAD"])
def test_every_way_to_name_a_commit_leads_to_it_and_the_lock_holds_it_in_full(
    consumer: Consumer, server: GitServer, publish: Publish, kind: str
) -> None:
    older = publish({"a": b"old"})
    newer = publish({"a": b"new"})
    server.git("tag", "light", older)
    server.git("tag", "-a", "v1", "-m", "first", newer)
    server.git("branch", "feature/x", older)
    publish({"b": b"b"})
    names = {
        "branch": ("feature/x", older),
        "tag": ("light", older),
        "annotated": ("v1", newer),
        "whole name": ("refs/tags/v1", newer),
        "commit": (newer, newer),
        "short tip": (older[:9], older),
        "short": (server.git("rev-parse", "main~3")[:9], server.git("rev-parse", "main~3")),
        "HEAD": ("HEAD", server.git("rev-parse", "main")),
    }
    revision, commit = names[kind]
    for directory, url in ((consumer.directory, ""), (consumer.directory.with_name("path"), str(server.bare))):
        done = Consumer(server, directory).fetch(revision, url=url)
        assert done.lock.commit == commit
        assert Consumer(server, directory).locked().revision == revision


@pytest.mark.parametrize("revision", ["1" * 40, "0" * 40, "1234567", "nowhere", "refs/heads/nowhere"])
@pytest.mark.parametrize("place", ["http", "path"])
def test_a_commit_that_is_not_there_is_said_and_nothing_is_written(
    consumer: Consumer, server: GitServer, revision: str, place: str
) -> None:
    url = server.url if place == "http" else str(server.bare)
    with pytest.raises(FetchError, match=f"{revision[:20]}"):
        consumer.fetch(revision, url=url)
    assert not consumer.directory.exists()


def test_a_name_that_is_a_branch_and_a_tag_is_asked_back(
    consumer: Consumer, server: GitServer, publish: Publish
) -> None:
    server.git("tag", "main", publish({"a": b"old"}))
    publish({"a": b"new"})
    with pytest.raises(FetchError, match="write refs/tags/main or refs/heads/main"):
        consumer.fetch()
    assert consumer.fetch("refs/heads/main").lock.commit == server.git("rev-parse", "refs/heads/main")


def test_of_500_files_only_what_is_asked_for_and_not_there_is_transferred(
    consumer: Consumer, server: GitServer
) -> None:
    push(server.bare, {f"gt/many/c{number}_1gpu.png": os.urandom(10_000) for number in range(500)})
    for _ in range(3):  # history that nobody needs
        push(server.bare, {f"gt/many/c{number}_1gpu.png": os.urandom(10_000) for number in range(3)})
    server.sent.clear()
    consumer.fetch("main", "gt/many", "", "c7", "c8")
    assert sum(server.sent) < 2 * 10_000 + 40_000  # the tree of 500 names is some 20 kB
    push(server.bare, {"gt/many/c7_1gpu.png": os.urandom(10_000)})
    server.sent.clear()
    done = consumer.again(update=True)
    assert done.count == 1
    assert sum(server.sent) < 10_000 + 40_000


def test_a_server_that_cannot_leave_files_out_serves_as_well(
    consumer: Consumer, server: GitServer, publish: Publish
) -> None:
    server.git("config", "uploadpack.allowFilter", "false")
    older = publish({"a": b"a"})
    publish({"a": b"new"})
    assert consumer.fetch(older[:10]).lock.commit == older
    assert consumer.files()["a_1gpu.png"] == b"a"


def test_what_is_there_already_needs_no_server_and_no_file_is_touched(
    consumer: Consumer, server: GitServer, publish: Publish
) -> None:
    publish({"a": b"a", "b": b"b"})
    consumer.fetch()
    times = {path.name: path.stat().st_mtime_ns for path in consumer.directory.iterdir()}
    publish({"a": b"moved on"})
    server.asked.clear()
    for done in (consumer.fetch(), consumer.again(), consumer.again(locked=True), consumer.fetch(locked=True)):
        assert (done.count, done.removals) == (0, ())
    assert server.asked == []
    assert {path.name: path.stat().st_mtime_ns for path in consumer.directory.iterdir()} == times


def test_what_was_damaged_or_lost_is_mended_from_the_locked_commit(
    consumer: Consumer, server: GitServer, publish: Publish
) -> None:
    publish({"a": b"a", "b": b"b"})
    consumer.fetch()
    before = consumer.files(), consumer.lock.read_bytes()
    publish({"a": b"moved on"})
    (consumer.directory / "a_1gpu.png").write_bytes(b"damaged")
    (consumer.directory / "b_1gpu.png").unlink()
    (consumer.directory / NAME).unlink()
    assert consumer.again().count == 2
    assert (consumer.files(), consumer.lock.read_bytes()) == before


def test_an_image_that_the_lock_does_not_name_is_removed_and_what_is_no_image_stays(
    consumer: Consumer, server: GitServer, publish: Publish
) -> None:
    publish({"a": b"a", "b": b"b"})
    consumer.fetch("main", "gt/official", "", "a", "b")
    (consumer.directory / "stale.png").write_bytes(b"stale")
    (consumer.directory / ".gitignore").write_text("*.png")
    (consumer.directory / "README.md").write_text("ours")
    server.asked.clear()
    assert consumer.again().removals == ("stale.png",)
    assert server.asked == []
    assert consumer.fetch("main", "gt/official", "", "b").removals == ("a_1gpu.png",)
    assert set(consumer.files()) == {".gitignore", "README.md", "b_1gpu.png", NAME}


def test_the_folder_of_the_gpu_kind_comes_first_and_a_case_never_has_two_names(
    consumer: Consumer, server: GitServer
) -> None:
    images = {
        "h100/a_1gpu.png": b"a h100",
        "a_1gpu.jpg": b"a bare, under another name",
        "a_2gpu.png": b"a bare, and another",
        "5090/b_1gpu.png": b"b 5090",
        "b_1gpu.png": b"b bare",
        "v_2gpu_frame_0.png": b"0",
        "v_2gpu_frame_mid.png": b"mid",
        "v_2gpu_frame_last.png": b"last",
        "5090/only_1gpu.png": b"only",
    }
    push(server.bare, {f"gt/bare/{name}": content for name, content in images.items()})
    done = consumer.fetch("main", "gt/bare", "h100")
    frames = {f"v_2gpu_frame_{frame}.png": frame.encode() for frame in ("0", "mid", "last")}
    assert consumer.files() == {"a_1gpu.png": b"a h100", "b_1gpu.png": b"b bare", **frames}
    assert {file.verified for file in done.lock.files.values()} == {"git"}
    assert consumer.fetch("main", "gt/bare", "5090", "b", "only").removals
    assert consumer.files() == {"b_1gpu.png": b"b 5090", "only_1gpu.png": b"only"}
    with pytest.raises(FetchError, match=r"two names of case a, a_1gpu\.jpg and a_2gpu\.png"):
        consumer.fetch("main", "gt/bare", "5090", "a")
    with pytest.raises(FetchError, match=r"case only is published for this GPU kind, but for 5090: choose with --gpu"):
        consumer.fetch("main", "gt/bare", "h100", "only")
    with pytest.raises(FetchError, match=r"case onyl is published there; did you mean only"):
        consumer.fetch("main", "gt/bare", "5090", "onyl")
    with pytest.raises(FetchError, match="no GPU kind is named 'h10'"):
        consumer.fetch("main", "gt/bare", "h10")


def test_upstreams_folders_are_looked_into_in_upstreams_order_where_none_is_named(
    consumer: Consumer, server: GitServer
) -> None:
    official, native = (f"diffusion-ci/consistency_gt/{kind}_generated" for kind in ("official", "sglang"))
    push(
        server.bare,
        {
            f"{official}/a_1gpu.png": b"official a",
            f"{native}/h100/a_1gpu.jpg": b"native a of the kind",
            f"{native}/b_1gpu.png": b"native b",
            f"{native}/h100/b_1gpu.png": b"native b of the kind",
        },
    )
    consumer.fetch("main", "", "h100")
    assert consumer.files() == {"a_1gpu.png": b"official a", "b_1gpu.png": b"native b of the kind"}


def test_cases_of_two_folders_have_one_manifest_and_files_in_no_manifest_are_named(
    consumer: Consumer, publish: Publish
) -> None:
    publish({"a": b"a bare", "b": b"b bare"})
    publish({"a": b"a h100"}, bare=False)
    done = consumer.fetch("main", "gt/official", "h100")
    assert consumer.files()["a_1gpu.png"] == b"a h100"
    manifest = read(consumer.directory)
    assert sorted(manifest.cases) == ["a", "b"]
    assert {name: file.verified for name, file in done.lock.files.items()} == {
        "a_1gpu.png": "manifest",
        "b_1gpu.png": "manifest",
        "other_1gpu.png": "git",
    }
    for name, file in manifest.files.items():
        assert sha256(consumer.files()[name]) == file.sha256


def test_a_case_that_another_gpu_kind_made_is_named(consumer: Consumer, publish: Publish) -> None:
    publish({"a": b"a"})
    assert consumer.fetch("main", "gt/official", "b200", "a").notes == ("a was made on h100, not on b200",)
    assert consumer.fetch("main", "gt/official", "h100-sxm", "a").notes == ()


def spoiled(server: GitServer, spoil: Callable[[dict[str, object]], None]) -> None:
    """Publish the manifest of gt/official anew, with something wrong in it."""
    content = json.loads(server.git("show", f"main:gt/official/{NAME}"))
    spoil(content)
    push(server.bare, {f"gt/official/{NAME}": json.dumps(content).encode()})


def file_of(manifest: dict[str, object]) -> dict[str, object]:
    return manifest["cases"]["a"]["files"][0]  # type: ignore[index, no-any-return]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda m: file_of(m).update(sha256="0" * 64), r"a_1gpu\.png is not what the manifest beside it says"),
        (lambda m: file_of(m).update(name="gone_1gpu.png"), r"names gone_1gpu\.png, which is not there"),
        (lambda m: file_of(m).update(name="../../a_1gpu.png"), "is no manifest of this version"),
        (lambda m: file_of(m).update(name="/etc/passwd"), "is no manifest of this version"),
        (lambda m: file_of(m).update(name=".git"), "is no manifest of this version"),
        (lambda m: file_of(m).update(name="conftest.py"), r"names conftest\.py, which is no image"),
        (lambda m: file_of(m).update(name="gt.lock"), r"names gt\.lock, which is no image"),
        (lambda m: file_of(m).update(name="con.png"), "is no manifest of this version"),
        (lambda m: file_of(m).update(name="manifest.json"), "is no manifest of this version"),
        (lambda m: m.update(schema_version=2), "newer version of diffusion-gt"),
        (lambda m: m.clear(), "is no manifest of this version"),
    ],
)
def test_what_is_not_as_its_manifest_says_is_refused_and_what_was_there_stays(
    consumer: Consumer, server: GitServer, publish: Publish, spoil: Callable[[dict[str, object]], None], told: str
) -> None:
    publish({"a": b"a", "b": b"b"})
    consumer.fetch()
    before = consumer.files(), consumer.lock.read_bytes()
    spoiled(server, spoil)
    with pytest.raises(FetchError, match=told):
        consumer.again(update=True)
    assert (consumer.files(), consumer.lock.read_bytes()) == before
    fresh = Consumer(server, consumer.directory.with_name("fresh"))
    with pytest.raises(FetchError, match=told):
        fresh.fetch()
    assert not fresh.directory.exists()


def test_links_submodules_and_odd_names_of_a_repository_are_never_written(
    consumer: Consumer, server: GitServer
) -> None:
    blob = server.git("rev-parse", "main:README.md")
    commit = server.git("rev-parse", "main")
    lines = {
        "link": f"120000 blob {blob}\ta_1gpu.png\n",
        "submodule": f"160000 commit {commit}\ta_1gpu.png\n",
        "folder": f"040000 tree {server.git('rev-parse', 'main:gt')}\ta_1gpu.png\n",
        "names": "".join(f"100644 blob {blob}\t{name}\n" for name in ("-x.png", "a:b.png", "aux.png", "good_1gpu.png")),
        "twins": f"100644 blob {blob}\tA_1gpu.png\n100644 blob {blob}\ta_1gpu.png\n",
    }

    def revision(kind: str) -> str:
        tree = git("-C", str(server.bare), "mktree", stdin=lines[kind].encode())
        made = git("-C", str(server.bare), "commit-tree", tree, "-m", kind)
        server.git("branch", kind, made)
        return kind

    for kind in ("link", "submodule", "folder"):
        with pytest.raises(FetchError, match=r"a_1gpu\.png is no file but a link, a folder or a submodule"):
            consumer.fetch(revision(kind), "")
    with pytest.raises(FetchError, match="one file where upper and lower case are the same"):
        consumer.fetch(revision("twins"), "")
    assert not consumer.directory.exists()
    done = consumer.fetch(revision("names"), "")
    assert set(consumer.files()) == {"good_1gpu.png"}
    assert len(done.notes) == 3


def test_a_file_in_git_lfs_is_named(consumer: Consumer, server: GitServer) -> None:
    push(server.bare, {"gt/lfs/a_1gpu.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"})
    with pytest.raises(FetchError, match="lies in Git LFS"):
        consumer.fetch("main", "gt/lfs")


@pytest.mark.parametrize("answers", range(8))
def test_a_server_that_dies_half_way_leaves_everything_as_it_was(
    consumer: Consumer, server: GitServer, publish: Publish, answers: int
) -> None:
    publish({"a": b"a", "b": b"b"})
    consumer.fetch()
    before = consumer.files(), consumer.lock.read_bytes()
    publish({"a": b"new a", "b": b"new b"})
    server.dies_after = len(server.asked) + answers
    with pytest.raises(PublishError, match="nothing was fetched, and the directory is as it was"):
        consumer.again(update=True)
    assert (consumer.files(), consumer.lock.read_bytes()) == before
    assert {path.name for path in consumer.directory.iterdir()} == {*before[0], locks.NAME}
    server.dies_after = math.inf
    consumer.again(update=True)
    assert consumer.files()["a_1gpu.png"] == b"new a"


def test_a_server_that_is_busy_for_a_while_is_asked_again(
    consumer: Consumer, server: GitServer, publish: Publish
) -> None:
    publish({"a": b"a"})
    server.faults += [Fault("info/refs", 503), Fault("upload-pack$", 502)]
    assert consumer.fetch().count == 2
    assert server.faults[1].times == 0


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_that_may_not_read_is_said_with_its_variable(
    consumer: Consumer, server: GitServer, status: int
) -> None:
    server.faults.append(Fault(".*", status, times=99))
    with pytest.raises(PublishError, match=r"the server answered 40\d: .*GT_FETCH_TOKEN") as refused:
        consumer.fetch()
    assert "write" not in str(refused.value)


def test_a_full_disk_or_a_name_in_the_way_leaves_everything_as_it_was(
    consumer: Consumer, server: GitServer, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish({"a": b"a", "b": b"b"})
    consumer.fetch()
    before = consumer.files(), consumer.lock.read_bytes()
    publish({"a": b"new a", "b": b"new b", "c": b"c"})
    (consumer.directory / "c_1gpu.png").mkdir()
    with pytest.raises(FetchError, match=r"c_1gpu\.png is a folder"):
        consumer.again(update=True)
    (consumer.directory / "c_1gpu.png").rmdir()
    written = iter(range(99))

    def full(path: Path, content: bytes, write: Callable[[Path, bytes], None] = directories._write) -> None:
        if next(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(directories, "_write", full)
    with pytest.raises(FetchError, match="No space left on device"):
        consumer.again(update=True)
    assert (consumer.files(), consumer.lock.read_bytes()) == before
    assert {path.name for path in consumer.directory.iterdir()} == {*before[0], locks.NAME}


def test_a_directory_of_somebody_else_is_not_touched(consumer: Consumer, publish: Publish) -> None:
    publish({"a": b"a"})
    consumer.directory.mkdir(parents=True)
    (consumer.directory / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(FetchError, match=r"holds holiday\.jpg, and .*gt\.lock does not say where that is from"):
        consumer.fetch()
    assert set(consumer.files()) == {"holiday.jpg"}
    (consumer.directory / "holiday.jpg").rename(consumer.directory / "h100")
    with pytest.raises(ArtifactError, match="is a file"):
        Consumer(consumer.server, consumer.directory / "h100").fetch()


@pytest.mark.parametrize("name", ["holiday.jpg", "a_1gpu.png", NAME])
def test_a_lock_that_is_of_another_directory_removes_nothing(
    consumer: Consumer, publish: Publish, tmp_path: Path, name: str
) -> None:
    publish({"a": b"a"})
    consumer.fetch()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / name).write_bytes(b"theirs")
    for request in (None, Request.of(f"{consumer.server.url}@main:gt/official")):
        for update in (False, True):
            order = Order(theirs, consumer.lock, request, update=update)
            with pytest.raises(FetchError, match="does not say where that is from"):
                run(order, partial(reading, token=consumer.server.reader), QUICK)
    assert [(path.name, path.read_bytes()) for path in theirs.iterdir()] == [(name, b"theirs")]


def test_images_in_a_folder_of_a_gpu_kind_would_be_read_first_and_are_refused(
    consumer: Consumer, publish: Publish
) -> None:
    publish({"a": b"a"})
    consumer.fetch()
    (consumer.directory / "h100").mkdir()
    (consumer.directory / "h100" / "a_1gpu.png").write_bytes(b"older")
    with pytest.raises(FetchError, match="h100 holds images, and readers look there first"):
        consumer.again()


def test_locked_takes_what_the_lock_says_or_nothing(consumer: Consumer, server: GitServer, publish: Publish) -> None:
    with pytest.raises(FetchError, match=r"there is no .*gt\.lock; fetch without --locked"):
        consumer.fetch(locked=True)
    first = publish({"a": b"a", "b": b"b"})
    consumer.fetch("main", "gt/official", "h100", "a", "b")
    text = consumer.lock.read_bytes()
    publish({"a": b"new a"})
    for request, told in (
        (("other", "gt/official", "h100", "a", "b"), "revision: main, asked for: other"),
        (("main", "gt", "h100", "a", "b"), "path: gt/official, asked for: gt"),
        (("main", "gt/official", "b200", "a", "b"), "gpu: h100, asked for: b200"),
        (("main", "gt/official", "h100", "a"), "cases: a b, asked for: a"),
    ):
        with pytest.raises(FetchError, match=told):
            consumer.fetch(*request, locked=True)
    clone = Consumer(server, consumer.directory.with_name("clone"))  # as CI has it: the lock, and no images
    clone.directory.mkdir()
    clone.lock.write_bytes(text)
    clone.lock.chmod(0o444)
    done = clone.again(locked=True)
    assert (done.lock.commit, done.count) == (first, 2)
    assert clone.files() == consumer.files()
    assert clone.lock.read_bytes() == text
    (clone.directory / "a_1gpu.png").write_bytes(b"changed")
    (clone.directory / "stray.png").write_bytes(b"stray")
    with pytest.raises(FetchError, match=r"stray\.png is not in it\na_1gpu\.png has other bytes"):
        clone.again(locked=True)
    assert (clone.directory / "stray.png").exists()
    clone.again()
    assert clone.files() == consumer.files()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('sha256 = "', 'sha256 = "0', "is no lock file: files"),
        ("version = 1", "version = 2", "newer version of diffusion-gt"),
        ("version = 1", "version = ", "is no lock file"),
        ('"a_1gpu.png" =', '"../a_1gpu.png" =', "is no lock file: files"),
        ('path = "gt/official"', 'path = "../official"', "is no lock file: path"),
        ("commit = ", "comit = ", "is no lock file"),
    ],
)
def test_a_lock_that_is_none_is_refused_and_kept(
    consumer: Consumer, publish: Publish, old: str, new: str, told: str
) -> None:
    publish({"a": b"a"})
    consumer.fetch()
    text = consumer.lock.read_text().replace(old, new)
    consumer.lock.write_text(text)
    with pytest.raises(FetchError, match=told):
        consumer.again()
    assert consumer.lock.read_text() == text


def test_a_lock_that_was_changed_by_hand_is_noticed(consumer: Consumer, publish: Publish) -> None:
    publish({"a": b"a"})
    consumer.fetch()
    text = consumer.lock.read_text()
    consumer.lock.write_text(text.replace(sha256(b"a"), sha256(b"forged")))
    with pytest.raises(FetchError, match="says otherwise than commit"):
        consumer.again()
    consumer.again(update=True)
    assert consumer.lock.read_text() == text


def test_other_cases_of_the_same_branch_stay_at_the_locked_commit_until_an_update(
    consumer: Consumer, publish: Publish
) -> None:
    first = publish({"a": b"a", "b": b"b"})
    consumer.fetch("main", "gt/official", "", "a")
    second = publish({"b": b"new b"})
    assert consumer.fetch("main", "gt/official", "", "a", "b").lock.commit == first
    assert consumer.files()["b_1gpu.png"] == b"b"
    assert consumer.again(update=True).lock.commit == second
    assert consumer.files()["b_1gpu.png"] == b"new b"


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/o/r",
        "git@github.com:o/r",
        "https://me@example.org/o/r",
        "https://me:s3cret@example.org/o/r",
        "data",
        "@main",
        "data@",
        "https://example.org/o/r@main:../x",
        "https://example.org/o/r@main:/etc/../x",
    ],
)
def test_an_address_without_a_revision_is_refused_and_no_password_is_repeated(address: str) -> None:
    with pytest.raises(FetchError, match="write it as URL@REV or URL@REV:PATH") as refused:
        Request.of(address)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("https://github.com/o/r@main", ("https://github.com/o/r", "main", None)),
        ("git@github.com:o/r.git@v1:a/b/", ("git@github.com:o/r.git", "v1", "a/b")),
        ("ssh://git@host:22/o/r@feature/x:gt", ("ssh://git@host:22/o/r", "feature/x", "gt")),
        ("../data@0123abc", ("../data", "0123abc", None)),
    ],
)
def test_an_address_is_a_repository_a_revision_and_a_folder(address: str, parts: tuple[str | None, ...]) -> None:
    request = Request.of(address)
    assert (request.repository, request.revision, request.path) == parts


def test_a_password_in_an_address_is_refused_without_repeating_it(consumer: Consumer) -> None:
    with pytest.raises(PublishError, match="set GT_FETCH_TOKEN") as refused:
        consumer.fetch(url="https://me:s3cret@example.org/o/r")
    assert "s3cret" not in str(refused.value)


def test_a_path_that_is_no_repository_is_said(consumer: Consumer, tmp_path: Path) -> None:
    for url, told in ((tmp_path / "nowhere", "is no directory"), (tmp_path, "is no git repository")):
        with pytest.raises(FetchError, match=told):
            consumer.fetch(url=str(url))


def test_the_command_works_without_git_and_says_what_lies_there(
    consumer: Consumer, server: GitServer, publish: Publish, gt: Gt, tmp_path: Path
) -> None:
    commit = publish({"a": b"a", "b": b"b"})
    env = {"GT_FETCH_TOKEN": server.reader, "PATH": str(tmp_path / "nothing")}
    words = ("fetch", f"{server.url}@main:gt/official", "--gpu", "h100", "--case-ids", "a", "-o", "gt")
    done = gt(*words, env=env)
    assert (done.returncode, done.stdout) == (0, f"{commit}\n"), done.stderr
    assert f"gt: gt holds 1 file of {server.url} at {commit}, 1 of them fetched" in done.stderr
    again = gt("fetch", f"{server.bare}@main:gt/official", "-o", "path", env=env)
    assert (again.returncode, again.stdout) == (0, f"{commit}\n"), again.stderr
    assert "1 file is in no manifest there" in again.stderr
    outside = gt(*words, "--lock-file", "lock/gt.lock", "-o", "other", env=env)
    assert outside.returncode == 0, outside.stderr
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["a_1gpu.png", NAME]
    assert (tmp_path / "lock" / "gt.lock").read_bytes() == (tmp_path / "gt" / "gt.lock").read_bytes()
    for wrong in (["--locked", "--update"], ["--gpu", "h100"], ["--locked", "-o", "nowhere"]):
        refused = gt("fetch", "-o", "gt", *wrong, env=env)
        assert (refused.returncode, refused.stdout) == (2, ""), wrong
        assert "Traceback" not in refused.stderr


def test_a_run_that_is_killed_while_it_writes_leaves_whole_files_and_the_next_one_mends(
    consumer: Consumer, server: GitServer, publish: Publish
) -> None:
    contents = {name: name.encode() * 1000 for name in "abcdefgh"}
    publish(contents)
    consumer.fetch()
    publish({name: content.upper() for name, content in contents.items()})
    code = (
        "import os, signal, pathlib\n"
        "from ci.publish.fetch import directory\n"
        "from tests.publish.fetch.conftest import Consumer\n"
        "from types import SimpleNamespace\n"
        "replace, moved = pathlib.Path.replace, []\n"
        "def killed(self, target):\n"
        "    moved.append(target)\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if len(moved) == 4 else replace(self, target)\n"
        "pathlib.Path.replace = killed\n"
        f"server = SimpleNamespace(reader={server.reader!r})\n"
        f"Consumer(server, pathlib.Path({str(consumer.directory)!r})).again(update=True)\n"
    )
    died = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    there = {name: consumer.files()[f"{name}_1gpu.png"] for name in contents}
    assert {name: content.lower() for name, content in there.items()} == contents
    assert there != contents
    with pytest.raises(FetchError, match="has other bytes"):
        consumer.again(locked=True)
    consumer.again(update=True)
    assert consumer.files()["a_1gpu.png"] == b"A" * 1000
