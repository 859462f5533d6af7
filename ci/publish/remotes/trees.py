"""Folders of a git repository as git keeps them: to look files up in, and to change without checking them out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, ObjectID, ShaFile, Tree

from ...errors import PublishError
from .base import Entry, check_folder, parts_of

_FILE, _FOLDER = 0o100644, 0o040000


def files(store: BaseObjectStore, root: ObjectID, folder: str) -> dict[str, Entry]:
    """Files, links and submodules that lie below a folder, by whole path; none where the folder is not there."""
    tree = _folder(store, root, folder)
    waiting = [] if tree is None else [(folder, tree)]  # no recursion: it may be deeper than Python's stack
    listing: dict[str, Entry] = {}
    while waiting:
        above, tree = waiting.pop()
        for name, entry in _entries(tree).items():
            path = f"{above}/{name}"
            if entry.is_folder:
                waiting.append((path, _tree(store, ObjectID(entry.id.encode()))))
            else:
                listing[path] = entry
    return listing


def entries(store: BaseObjectStore, root: ObjectID, folder: str) -> dict[str, Entry] | None:
    """What lies in a folder itself, by name; None where the folder is not there."""
    tree = _folder(store, root, folder)
    return None if tree is None else _entries(tree)


def _entries(tree: Tree) -> dict[str, Entry]:
    return {item.path.decode(errors="replace"): Entry(item.mode, item.sha.decode()) for item in tree.items()}


def _folder(store: BaseObjectStore, root: ObjectID, folder: str) -> Tree | None:
    tree: Tree | None = _tree(store, root)
    for part in PurePosixPath(folder).parts:
        tree = None if tree is None else _below(store, tree, part, folder)
    return tree


def changed(
    store: BaseObjectStore, root: ObjectID | None, changes: Mapping[str, Blob | None]
) -> tuple[ObjectID, list[ShaFile]]:
    """The tree with these files written or (None) removed, and the trees that are new; folders left empty go."""
    tree = Tree() if root is None else _tree(store, root)
    new: list[ShaFile] = []
    _change(store, tree, {parts_of(path): blob for path, blob in changes.items()}, new)
    new.append(tree)
    return tree.id, new


def _change(
    store: BaseObjectStore, tree: Tree, changes: Mapping[tuple[str, ...], Blob | None], new: list[ShaFile]
) -> None:
    folders: dict[str, dict[tuple[str, ...], Blob | None]] = {}
    for (first, *rest), blob in changes.items():
        if rest:
            folders.setdefault(first, {})[tuple(rest)] = blob
        elif blob is not None:
            tree[first.encode()] = (_FILE, blob.id)
        elif first.encode() in tree:
            del tree[first.encode()]
    for name, inside in folders.items():
        below = _below(store, tree, name, name) or Tree()
        _change(store, below, inside, new)
        if len(below):
            tree[name.encode()] = (_FOLDER, below.id)
            new.append(below)
        elif name.encode() in tree:
            del tree[name.encode()]


def _below(store: BaseObjectStore, tree: Tree, name: str, folder: str) -> Tree | None:
    if name.encode() not in tree:
        return None
    mode, identity = tree[name.encode()]
    check_folder(Entry(mode, identity.decode()), name, folder)
    return _tree(store, identity)


def _tree(store: BaseObjectStore, identity: ObjectID) -> Tree:
    content = store[identity]
    if not isinstance(content, Tree):
        raise PublishError(f"the data repository is damaged: {identity.decode()} is named as a folder, and is none")
    return Tree.from_string(content.as_raw_string())  # a copy: an object of the store is not ours to change
