"""A data repository behind the git protocol: http(s), ssh, git or a path of this machine.

Nothing is checked out and no history is fetched: one commit, its trees and, where a server cannot leave them out, its
files lie in a temporary folder. What is sent are the new files and the folders above them.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from dulwich.client import FetchPackResult, SubprocessGitClient
from dulwich.object_store import PackBasedObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile
from dulwich.pack import UnpackedObject, pack_objects_to_data
from dulwich.refs import Ref
from dulwich.repo import Repo

from ...errors import PublishError, printable
from . import trees
from .base import Author, CommitRefusedError, Head, MovedError, check_new
from .transport import connect, fetch_objects, translated

_HEAD = Ref(b"HEAD")
_MAIN = Ref(b"refs/heads/main")  # the default branch where HEAD names none that is there
_SEEN = Ref(b"refs/heads/seen")  # in the temporary repository: what the server need not send again
_HEADS = b"refs/heads/"
_MOVED = ("lock ref", "failed to lock", "failed to update", "fast-forward", "fetch first", "stale", "already exists")
# What the server says besides where it would say the same again.
_LASTING = ("cannot create", "blocking reference", "name too long", "permission denied", "no space", "read-only")

logging.getLogger("dulwich").setLevel(logging.ERROR)  # it warns of servers that cannot filter, which is no news


class GitRemote:
    """See `Remote`. To be closed, since it keeps what it fetched in a temporary folder."""

    def __init__(self, url: str, branch: str, token: str, user: str, author: Author, base: str) -> None:
        """A branch that is not there begins where `base` is, or the default branch."""
        self.branch = branch
        self._base = Ref(f"refs/heads/{base}".encode()) if base else _HEAD
        self._url, self._author = url, author
        self._client, self._path = connect(url, token, user)
        self._head: ObjectID | None = None
        self._existed = False  # the branch, at some time
        self._objects: dict[ObjectID, list[ShaFile]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="gt-publish-")
        self._repo = Repo.init_bare(self._folder.name)

    def close(self) -> None:
        """Forget what was fetched."""
        self._repo.close()
        self._client.close()
        self._folder.cleanup()

    def check_access(self) -> None:
        """As `Remote` says: the server tells receivers apart before anything is sent."""

        def nothing(_: Mapping[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            return {}

        with translated(self._url):
            self._client.send_pack(self._path.encode(), nothing, lambda *_, **__: (0, iter(())))

    def head(self, folders: Collection[str]) -> Head:
        """As `Remote` says."""
        with translated(self._url):
            result = self._fetch()
        if result.object_format not in (None, "sha1"):
            raise PublishError(
                f"{self._url} is a {result.object_format} repository; only sha1 ones can be published to"
            )
        refs = {name: commit for name, commit in result.refs.items() if commit is not None}
        if not self.branch:
            target = result.symrefs.get(_HEAD)
            if target is not None and _HEAD in refs:
                refs[target] = refs[_HEAD]  # it was not asked for by its name
            elif _MAIN in refs:  # HEAD is a commit, or names what is not there
                target = _MAIN
            self.branch = _branch(target or self._unborn())
        new = self._ref not in refs
        if new and self._existed:
            raise MovedError(f"branch {self.branch} of {self._url} is gone")
        if new:
            check_new(self.branch, (_branch(name) for name in refs if name.startswith(_HEADS)))
        self._existed |= not new
        self._head = refs.get(self._ref, refs.get(self._base))
        if self._head is None:
            return Head(None, new, {})
        self._repo.refs[_SEEN] = self._head
        root = self._commit(self._head).tree
        listings = [trees.files(self._store, root, folder) for folder in folders]
        return Head(self._head.decode(), new, {path: entry for each in listings for path, entry in each.items()})

    def read(self, ids: Iterable[str]) -> dict[str, bytes]:
        """As `Remote` says; what the server left out before is asked for by id."""
        objects = [ObjectID(each.encode()) for each in ids]
        missing = [each for each in objects if each not in self._store]
        if missing:
            with translated(self._url):
                fetch_objects(self._client, self._path, self._store, missing)
        return {each.decode(): self._blob(each) for each in objects}

    def make(self, on: Head, changes: Mapping[str, bytes | None], message: str) -> str:
        """As `Remote` says: on this machine, until it is sent."""
        base = None if on.commit is None else self._commit(ObjectID(on.commit.encode()))
        blobs = {path: None if data is None else Blob.from_string(data) for path, data in changes.items()}
        root, new = trees.changed(self._store, None if base is None else base.tree, blobs)
        commit = self._commit_on(root, on, message)
        self._objects[commit.id] = [commit, *new, *(blob for blob in blobs.values() if blob is not None)]
        return commit.id.decode()

    def advance(self, on: Head, commit: str) -> None:
        """As `Remote` says: the server compares the branch with `on` when it takes the commit."""
        new = ObjectID(commit.encode())
        expected = None if on.new or on.commit is None else ObjectID(on.commit.encode())

        def update(refs: Mapping[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            if refs.get(self._ref) != expected:
                raise MovedError(f"branch {self.branch} moved")
            return {self._ref: new}

        def data(*_: Any, **__: Any) -> tuple[int, Iterator[UnpackedObject]]:
            return pack_objects_to_data([(each, None) for each in self._objects.get(new, [])])

        remarks: list[bytes] = []
        with translated(self._url):
            result = self._client.send_pack(self._path.encode(), update, data, remarks.append)
        refusal = (result.ref_status or {}).get(self._ref)
        if not refusal:
            return
        remark = b"".join(remarks).decode(errors="replace")
        if any(sign in refusal.lower() for sign in _MOVED) and not any(sign in remark.lower() for sign in _LASTING):
            raise MovedError(f"the server says of branch {self.branch}: {refusal}")
        words = [printable(line).strip() for line in remark.splitlines()]
        head = f"{self._url} does not take the commit: {refusal}; check the rules of branch {self.branch}"
        raise CommitRefusedError("\n".join([head, *(f"  the server: {line}" for line in words if line)]))

    def propose(self, base: str, title: str, text: str) -> str | None:  # noqa: ARG002
        """As `Remote` says: git itself knows no requests."""
        return None

    def holds(self, commit: str) -> bool:
        """As `Remote` says."""
        entries = self._repo.get_walker([self._head]) if self._head is not None else ()
        return any(entry.commit.id.decode() == commit for entry in entries)

    def _unborn(self) -> Ref:
        """The branch that HEAD names though it is not there yet: a server does not tell, a path does."""
        if not isinstance(self._client, SubprocessGitClient):
            return _MAIN
        with Repo(self._path) as repo:
            return repo.refs.get_symrefs().get(_HEAD, _MAIN)

    @property
    def _ref(self) -> Ref:
        return Ref(_HEADS + self.branch.encode(errors="surrogateescape"))

    @property
    def _store(self) -> PackBasedObjectStore:
        return self._repo.object_store

    def _commit(self, identity: ObjectID) -> Commit:
        content = self._store[identity]
        assert isinstance(content, Commit)  # noqa: S101  # for the type checker
        return content

    def _blob(self, identity: ObjectID) -> bytes:
        content = self._store[identity]
        if not isinstance(content, Blob):
            raise PublishError(f"{self._url} is damaged: {identity.decode()} is named as a file, and is none")
        return content.data

    def _fetch(self) -> FetchPackResult:
        """The head alone at first; afterwards what came since, so that one's own commit can be found in it."""

        def wants(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001
            commit = refs.get(self._ref) if self.branch else None
            commit = commit or refs.get(self._base) or refs.get(_MAIN)
            return [commit] if commit is not None and commit not in self._store else []

        ref = self._ref if self.branch else _MAIN
        above = [Ref(b"/".join(ref.split(b"/")[:end])) for end in range(3, ref.count(b"/") + 1)]  # see `check_new`
        prefixes = [_HEAD, self._base, *above, ref]
        return self._client.fetch(
            self._path,
            self._repo,
            wants,
            depth=1 if self._head is None else None,
            ref_prefix=prefixes,
            filter_spec=b"blob:none",
        )

    def _commit_on(self, root: ObjectID, on: Head, message: str) -> Commit:
        author = f"{self._author.name} <{self._author.email}>".encode()
        seconds = int(self._author.when.timestamp())
        commit = Commit()
        commit.tree, commit.message, commit.encoding = root, message.encode(), b"UTF-8"
        commit.parents = [] if on.commit is None else [ObjectID(on.commit.encode())]
        commit.author = commit.committer = author
        commit.author_time = commit.commit_time = seconds
        commit.author_timezone = commit.commit_timezone = 0
        return commit


def _branch(ref: Ref) -> str:
    return ref.removeprefix(_HEADS).decode(errors="surrogateescape")
