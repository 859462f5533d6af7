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
from .choice import KINDS, Choice, ChosenFile, Published, choose, places, roots, with_manifest
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
class Fetched:
    """What lies in the directory now."""

    lock: Lock
    brought: int
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def run(order: Order, opened: Open, patience: Patience) -> Fetched:
    """Fetch. Raises FetchError, ArtifactError, or PublishError of the data repository; all is as it was then."""
    before = locks.read(order.lock)
    request = _request(order, before)
    there = directories.files(order.directory)
    if there and not _is_ours(order, before, there):
        raise FetchError(
            f"{order.directory} holds {next(iter(there))}, and {order.lock} does not say where that is from; "
            "choose a new directory with -o, or remove it"
        )
    if before is not None and before.request == request and not order.update:
        return _as_locked(order, before, there, opened, patience)
    stays = before is not None and not order.update
    known = before.commit if before is not None and stays and _same_revision(before, request) else None
    with opened(request.repository) as reader:
        commit = known or patience.keep_trying(lambda: reader.commit(request.revision))
        return _Fetch(order, request, reader, patience, there).bring(commit)


def lines(order: Order, fetched: Fetched) -> list[str]:
    """What lies in the directory now, for a person."""
    lock = fetched.lock
    at = f"{lock.repository} at {lock.commit}"
    news = f"{fetched.brought} of them fetched" if fetched.brought else "all of them were there"
    unnamed = sum(1 for file in lock.files.values() if file.verified == "git")
    return [
        f"{order.directory} holds {counted(len(lock.files), 'file')} of {at}, {news}",
        *(f"removed {name}: it is not in {order.lock}" for name in fetched.removed),
        *([f"{counted(unnamed, 'file')} {are(unnamed)} {_UNNAMED}"] if unnamed else []),
        *fetched.notes,
    ]


def _request(order: Order, before: Lock | None) -> Request:
    """What is asked for. Raises FetchError where nothing is, or where the lock does not go with it."""
    if order.locked and before is None:
        raise FetchError(f"there is no {order.lock}; fetch without --locked, and commit the lock that this writes")
    request = order.request or (before and before.request)
    if request is None:
        raise FetchError(f"there is no {order.lock} that says what to fetch; name it as URL@REV or URL@REV:PATH")
    if order.locked and before is not None and before.request != request:
        lines = before.request.differences(request)
        raise FetchError("\n".join([f"{order.lock} is of another request; leave out --locked to change it:", *lines]))
    return request


def _is_ours(order: Order, before: Lock | None, there: Mapping[str, Digests]) -> bool:
    """Whether the lock speaks of what lies in the directory: what it does not name is removed.

    A lock that lies elsewhere may be of another directory.
    """
    if before is None or order.lock.absolute().parent == order.directory.absolute():
        return before is not None
    return any(name in there and there[name].sha256 == file.sha256 for name, file in before.files.items())


def _same_revision(before: Lock, request: Request) -> bool:
    return (before.repository, before.revision) == (request.repository, request.revision)


def _as_locked(order: Order, lock: Lock, there: Mapping[str, Digests], opened: Open, patience: Patience) -> Fetched:
    """Let the directory be what the lock says; without the network, where only files are to go."""
    wanted = {name: file.sha256 for name, file in lock.files.items()}
    wanted |= {manifests.NAME: lock.manifest} if lock.manifest else {}
    stale = sorted(there.keys() - wanted.keys())
    changed = sorted(name for name, sha256 in wanted.items() if name in there and there[name].sha256 != sha256)
    if order.locked and (stale or changed):
        lines = [*(f"{name} is not in it" for name in stale), *(f"{name} has other bytes" for name in changed)]
        advice = "leave out --locked to put that right"
        raise FetchError("\n".join([f"{order.directory} is not what {order.lock} says; {advice}:", *lines]))
    if changed or wanted.keys() - there.keys():
        with opened(lock.repository) as reader:
            return _Fetch(order, lock.request, reader, patience, there).bring(lock.commit, lock)
    if stale:
        directories.put(order.directory, {}, stale)
    return Fetched(lock, 0, tuple(stale))


class _Fetch:
    def __init__(
        self, order: Order, request: Request, reader: GitReader, patience: Patience, there: Mapping[str, Digests]
    ) -> None:
        self._order, self._request, self._reader, self._patience = order, request, reader, patience
        self._there = there

    def bring(self, commit: str, expected: Lock | None = None) -> Fetched:
        """Let the directory be what is asked for, at a commit; `expected` is the lock that this must give."""
        choice = self._choice(commit)
        blobs = {name: digests.blob for name, digests in self._there.items()}
        missing = {name: file for name, file in choice.files.items() if blobs.get(name) != file.blob}
        directories.check(self._order.directory, [*missing, manifests.NAME])
        self._patience.keep_trying(lambda: self._reader.bring(file.blob for file in missing.values()))
        verified = {name: self._verified(file) for name, file in sorted(choice.files.items())}
        text = None if choice.manifest is None else _text(choice.manifest).encode()
        lock = Lock(
            **dict(self._request),
            commit=commit,
            manifest=None if text is None else hashlib.sha256(text).hexdigest(),
            files=verified,
        )
        if expected is not None and lock != expected:
            raise FetchError(
                f"{self._order.lock} says otherwise than commit {commit} of {self._request.repository}: it was changed "
                f"by hand, or the commit is read otherwise by this version; --update writes it anew"
            )
        contents: dict[str, Callable[[], bytes]] = {}
        for name, file in missing.items():
            contents[name] = partial(self._reader.content, file.blob)
        if text is not None:
            contents[manifests.NAME] = lambda: text
        stale = sorted(self._there.keys() - choice.files.keys() - contents.keys())
        news = None if expected is not None else (self._order.lock, lock.text())
        directories.put(self._order.directory, contents, stale, news)
        return Fetched(lock, len(missing), tuple(stale), tuple(choice.notes))

    def _choice(self, commit: str) -> Choice:
        bases = roots(self._request)
        found = self._folders(commit, [path for base in bases for path in places(base, self._request.gpu)])
        if not found and self._request.path is None:
            bases = [""]
            found = self._folders(commit, places("", self._request.gpu))
        paths = [path for base in bases for path in places(base, self._request.gpu) if path in found]
        manifest_ids = {path: found[path][manifests.NAME].id for path in paths if manifests.NAME in found[path]}
        self._patience.keep_trying(lambda: self._reader.bring(manifest_ids.values()))
        where = f"{self._request.repository} at {commit}"
        contents = {path: self._reader.content(blob) for path, blob in manifest_ids.items()}
        published = [with_manifest(path, found[path], contents.get(path), where) for path in paths]
        kinds = self._kinds(commit, {base: found.get(base, {}) for base in bases})
        gpu = self._request.gpu
        if gpu and gpu not in kinds and (mistake := gpus.mistake(gpu)):
            raise FetchError(mistake)
        return choose(published, self._request, kinds)

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
            kinds.setdefault(KINDS.get(below[path], below[path]), set()).update(Published(path, entries).cases)
        return kinds

    def _folders(self, commit: str, paths: Iterable[str]) -> dict[str, dict[str, Entry]]:
        paths = list(paths)
        return self._patience.keep_trying(lambda: self._reader.folders(commit, paths))

    def _verified(self, file: ChosenFile) -> LockedFile:
        """A file that is what was published. Raises FetchError."""
        there = self._there.get(file.name)
        if there is not None and there.blob == file.blob:
            sha256 = there.sha256
        else:
            content = self._reader.content(file.blob)
            if content.startswith(LFS):
                raise FetchError(f"{file.path} lies in Git LFS, which is not supported; {NOTHING}")
            sha256 = hashlib.sha256(content).hexdigest()
        if file.sha256 not in (None, sha256):
            raise FetchError(
                f"{file.path} is not what the manifest beside it says: its sha256 is {sha256}, not {file.sha256}; "
                f"{NOTHING}. Tell who published it, and name a commit of before"
            )
        return LockedFile(sha256=sha256, path=file.path, verified="manifest" if file.sha256 else "git")


def _text(manifest: Manifest) -> str:
    """The manifest with the fields that were published alone, so that every version of this tool writes the same."""
    content = manifest.model_dump(mode="json", exclude_unset=True)
    return json.dumps({"schema_version": manifest.schema_version, **content}, indent=2, ensure_ascii=False) + "\n"
