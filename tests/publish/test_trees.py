"""Folders that are changed without checking them out hold just what a checkout would hold."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator

import pytest
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Blob, ObjectID, Tree
from hypothesis import given
from hypothesis import strategies as st

from ci.errors import PublishError
from ci.publish.remotes import trees
from ci.publish.remotes.base import blob_id

names = st.sampled_from(["a", "a.b", "a-b", "b", "é"])
contents = st.binary(max_size=3)
paths = st.tuples(names, names, names.map(lambda name: f"{name}.png")).map("/".join)  # files never where folders are
several = st.dictionaries(paths, contents, max_size=8)


def flat(store: MemoryObjectStore, identity: ObjectID, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    tree = store[identity]
    assert isinstance(tree, Tree)
    assert len(tree) or not prefix, "an empty folder was left"
    for entry in tree.items():
        path = prefix + entry.path.decode()
        if stat.S_ISDIR(entry.mode):
            yield from flat(store, entry.sha, f"{path}/")
        else:
            yield path, entry.sha


def put(store: MemoryObjectStore, root: ObjectID | None, changes: dict[str, bytes | None]) -> ObjectID:
    blobs = {path: None if data is None else Blob.from_string(data) for path, data in changes.items()}
    identity, new = trees.changed(store, root, blobs)
    for each in [*new, *(blob for blob in blobs.values() if blob is not None)]:
        store.add_object(each)
    return identity


def ids(store: MemoryObjectStore, root: ObjectID, folder: str) -> dict[str, str]:
    return {path: entry.id for path, entry in trees.files(store, root, folder).items()}


@given(before=several, written=several, removed=st.sets(paths, max_size=8))
def test_what_was_there_what_is_written_and_what_is_removed(
    before: dict[str, bytes], written: dict[str, bytes], removed: set[str]
) -> None:
    store = MemoryObjectStore()
    root = put(store, None, dict(before))
    after = put(store, root, {**dict.fromkeys(removed), **written})
    expected = {path: data for path, data in {**before, **written}.items() if path not in removed - written.keys()}
    assert dict(flat(store, after)) == {path: blob_id(data).encode() for path, data in expected.items()}
    assert dict(flat(store, root)) == {path: blob_id(data).encode() for path, data in before.items()}
    assert put(store, after, dict(written)) == after
    for folder in {path.rpartition("/")[0] for path in expected}:
        there = {path: blob_id(data) for path, data in expected.items() if path.rpartition("/")[0] == folder}
        assert ids(store, after, folder) == there


@given(before=several, folder=names)
def test_a_folder_is_listed_with_everything_below_it(before: dict[str, bytes], folder: str) -> None:
    store = MemoryObjectStore()
    root = put(store, None, dict(before))
    below = {path: blob_id(data) for path, data in before.items() if path.startswith(f"{folder}/")}
    assert ids(store, root, folder) == below


@pytest.mark.parametrize(
    "path", ["../a", "a/../b", "/a", "a//b", "a/.git/b", "a/.GIT", "a\\b", "a/nul", "a/b\n", "a/b.", ""]
)
def test_a_tree_holds_no_name_that_a_checkout_cannot(path: str) -> None:
    with pytest.raises(PublishError, match="is not written to the data repository"):
        put(MemoryObjectStore(), None, {path: b"x"})


def test_a_file_is_no_folder() -> None:
    store = MemoryObjectStore()
    root = put(store, None, {"a": b"a file"})
    with pytest.raises(PublishError, match="a is a file"):
        trees.files(store, root, "a/b")
    with pytest.raises(PublishError, match="a is a file"):
        put(store, root, {"a/b": b"x"})
    assert trees.files(store, root, "elsewhere") == {}


def test_what_is_named_as_a_folder_and_is_none_is_refused() -> None:
    store = MemoryObjectStore()
    blob, tree = Blob.from_string(b"x"), Tree()
    tree[b"a"] = (0o040000, blob.id)
    for each in (blob, tree):
        store.add_object(each)
    for folder in ("", "a"):
        with pytest.raises(PublishError, match="is named as a folder, and is none"):
            trees.files(store, tree.id, folder)


def test_folders_may_lie_deeper_than_pythons_stack() -> None:
    store = MemoryObjectStore()
    depth = 2 * sys.getrecursionlimit()
    tree = Tree.from_string(b"")
    tree[b"x"] = (0o100644, Blob.from_string(b"x").id)
    store.add_object(tree)
    for _ in range(depth):
        above = Tree()
        above[b"d"] = (0o040000, tree.id)
        store.add_object(above)
        tree = above
    (path,) = trees.files(store, tree.id, "d")
    assert path == "d/" * depth + "x"
