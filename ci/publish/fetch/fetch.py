"""Fetches published GT: a pinned commit, only the files that are asked for and not there yet, each of them verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...artifact import manifest as manifests
from ...artifact.manifest import Manifest
from ...catalogue import gpus
from ...errors import FetchError
from ...words import are, counted
from ..push import LFS
from ..remotes.base import Entry
from ..retry import Patience
from . import directory as directories
from . import lock as locks
from .choice import KINDS, Choice, ChosenFile, PublishedFolder, choose, places, roots, with_manifest
from .directory import Digests
from .lock import Lock, LockedFile
from .request import Request

if TYPE_CHECKING:
    from ..remotes.reading import GitReader

NOTHING = "nothing was fetched, and the directory is as it was"
_UNNAMED = "in no manifest there, and whole by git's own ids alone"
Open = Callable[[str], "AbstractContextManager[GitReader]"]


@dataclass(frozen=True)
class Order:
    """What is to lie where; `request` is None where the lock's is meant."""

    directory: Path
    lock: Path
    request: Request | None = None
    locked: bool = False  # take what the lock says, or nothing
    update: bool = False  # move on to where the revision is now


@dataclass(frozen=True)
class FetchResult:
    """What lies in the directory now."""

    lock: Lock
    count: int  # of the files that were not there
    removals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def run(order: Order, opened: Open, patience: Patience) -> FetchResult:
    """Fetch. Raises FetchError, ArtifactError, or PublishError of the data repository; all is as it was then."""
    lock = locks.read(order.lock)
    request = _request(order, lock)
    digests = directories.files(order.directory)
    if digests and not _is_ours(order, lock, digests):
        raise FetchError(
            f"{order.directory} holds {next(iter(digests))}, and {order.lock} does not say where that is from; "
            "choose a new directory with -o, or remove it"
        )
    if lock is not None and lock.request == request and not order.update:
        return _as_locked(order, lock, digests, opened, patience)
    pins = lock is not None and (lock.repository, lock.revision) == (request.repository, request.revision)
    with opened(request.repository) as reader:
        if lock is not None and pins and not order.update:
            commit = lock.commit
        else:
            commit = patience.keep_trying(lambda: reader.commit(request.revision))
        return _Fetch(order, request, reader, patience, digests).bring(commit)


def lines(order: Order, result: FetchResult) -> list[str]:
    """What lies in the directory now, for a person."""
    lock = result.lock
    at = f"{lock.repository} at {lock.commit}"
    news = f"{result.count} of them fetched" if result.count else "all of them were there"
    rest = sum(1 for file in lock.files.values() if file.verified == "git")
    return [
        f"{order.directory} holds {counted(len(lock.files), 'file')} of {at}, {news}",
        *(f"removed {name}: it is not in {order.lock}" for name in result.removals),
        *([f"{counted(rest, 'file')} {are(rest)} {_UNNAMED}"] if rest else []),
        *result.notes,
    ]


def _request(order: Order, lock: Lock | None) -> Request:
    """What is asked for. Raises FetchError where nothing is, or where the lock does not go with it."""
    if order.locked and lock is None:
        raise FetchError(f"there is no {order.lock}; fetch without --locked, and commit the lock that this writes")
    request = order.request or (lock and lock.request)
    if request is None:
        raise FetchError(f"there is no {order.lock} that says what to fetch; name it as URL@REV or URL@REV:PATH")
    if order.locked and lock is not None and lock.request != request:
        lines = lock.request.differences(request)
        raise FetchError("\n".join([f"{order.lock} is of another request; leave out --locked to change it:", *lines]))
    return request


def _is_ours(order: Order, lock: Lock | None, digests: Mapping[str, Digests]) -> bool:
    """Whether the lock speaks of what lies in the directory: what it does not name is removed.

    A lock that lies elsewhere may be of another directory.
    """
    if lock is None or order.lock.absolute().parent == order.directory.absolute():
        return lock is not None
    return any(name in digests and digests[name].sha256 == file.sha256 for name, file in lock.files.items())


def _as_locked(
    order: Order, lock: Lock, digests: Mapping[str, Digests], opened: Open, patience: Patience
) -> FetchResult:
    """Let the directory be what the lock says; without the network, where only files are to go."""
    sha256s = {name: file.sha256 for name, file in lock.files.items()}
    sha256s |= {manifests.NAME: lock.manifest} if lock.manifest else {}
    stale = sorted(digests.keys() - sha256s.keys())
    changed = sorted(name for name, sha256 in sha256s.items() if name in digests and digests[name].sha256 != sha256)
    if order.locked and (stale or changed):
        lines = [*(f"{name} is not in it" for name in stale), *(f"{name} has other bytes" for name in changed)]
        advice = "leave out --locked to put that right"
        raise FetchError("\n".join([f"{order.directory} is not what {order.lock} says; {advice}:", *lines]))
    if changed or sha256s.keys() - digests.keys():
        with opened(lock.repository) as reader:
            return _Fetch(order, lock.request, reader, patience, digests).bring(lock.commit, lock)
    if stale:
        directories.put(order.directory, {}, stale)
    return FetchResult(lock, 0, tuple(stale))


@dataclass(frozen=True)
class _Fetch:
    order: Order
    request: Request
    reader: GitReader
    patience: Patience
    digests: Mapping[str, Digests]  # of what lies in the directory

    def bring(self, commit: str, expected: Lock | None = None) -> FetchResult:
        """Let the directory be what is asked for, at a commit; `expected` is the lock that this must give."""
        choice = self._choice(commit)
        blobs = {name: digests.blob for name, digests in self.digests.items()}
        missing = {name: file for name, file in choice.files.items() if blobs.get(name) != file.blob}
        directories.check(self.order.directory, [*missing, manifests.NAME])
        self.patience.keep_trying(lambda: self.reader.bring(file.blob for file in missing.values()))
        verified = {name: self._verified(file) for name, file in sorted(choice.files.items())}
        text = None if choice.manifest is None else _text(choice.manifest).encode()
        lock = Lock(
            **dict(self.request),
            commit=commit,
            manifest=None if text is None else hashlib.sha256(text).hexdigest(),
            files=verified,
        )
        if expected is not None and lock != expected:
            raise FetchError(
                f"{self.order.lock} says otherwise than commit {commit} of {self.request.repository}: it was changed "
                f"by hand, or the commit is read otherwise by this version; --update writes it anew"
            )
        contents: dict[str, Callable[[], bytes]] = {
            name: partial(self.reader.content, file.blob) for name, file in missing.items()
        }
        if text is not None:
            contents[manifests.NAME] = lambda: text
        stale = sorted(self.digests.keys() - choice.files.keys() - contents.keys())
        news = None if expected is not None else (self.order.lock, lock.text())
        directories.put(self.order.directory, contents, stale, news)
        return FetchResult(lock, len(missing), tuple(stale), tuple(choice.notes))

    def _choice(self, commit: str) -> Choice:
        bases, gpu = roots(self.request), self.request.gpu
        folders = self._folders(commit, [path for base in bases for path in places(base, gpu)])
        if not folders and self.request.path is None:
            bases = [""]
            folders = self._folders(commit, places("", gpu))
        ids = {path: entries[manifests.NAME].id for path, entries in folders.items() if manifests.NAME in entries}
        self.patience.keep_trying(lambda: self.reader.bring(ids.values()))
        contents = {path: self.reader.content(blob) for path, blob in ids.items()}
        where = f"{self.request.repository} at {commit}"
        published = [with_manifest(path, entries, contents.get(path), where) for path, entries in folders.items()]
        kinds = self._kinds(commit, {base: folders.get(base, {}) for base in bases})
        if gpu and gpu not in kinds and (mistake := gpus.mistake(gpu)):
            raise FetchError(mistake)
        return choose(published, self.request, kinds)

    def _kinds(self, commit: str, bases: Mapping[str, Mapping[str, Entry]]) -> dict[str, set[str]]:
        """The cases that have files in each folder of a GPU kind."""
        below = {
            f"{base}/{name}".lstrip("/"): name
            for base, entries in bases.items()
            for name, entry in entries.items()
            if entry.is_folder
        }
        kinds: dict[str, set[str]] = {}
        for path, entries in self._folders(commit, below).items():
            kinds.setdefault(KINDS.get(below[path], below[path]), set()).update(PublishedFolder(path, entries).cases)
        return kinds

    def _folders(self, commit: str, paths: Iterable[str]) -> dict[str, dict[str, Entry]]:
        paths = list(paths)
        return self.patience.keep_trying(lambda: self.reader.folders(commit, paths))

    def _verified(self, file: ChosenFile) -> LockedFile:
        """A file that is what was published. Raises FetchError."""
        digests = self.digests.get(file.name)
        if digests is None or digests.blob != file.blob:
            content = self.reader.content(file.blob)
            if content.startswith(LFS):
                raise FetchError(f"{file.path} lies in Git LFS, which is not supported; {NOTHING}")
            digests = Digests.of(content)
        if file.sha256 not in (None, digests.sha256):
            raise FetchError(
                f"{file.path} is not what the manifest beside it says: its sha256 is {digests.sha256}, not "
                f"{file.sha256}; {NOTHING}. Tell who published it, and name a commit of before"
            )
        return LockedFile(sha256=digests.sha256, path=file.path, verified="manifest" if file.sha256 else "git")


def _text(manifest: Manifest) -> str:
    """The manifest with the fields that were published alone, so that every version of this tool writes the same."""
    content = manifest.model_dump(mode="json", exclude_unset=True)
    return json.dumps({"schema_version": manifest.schema_version, **content}, indent=2, ensure_ascii=False) + "\n"
