"""A data repository at one commit: read without the git program, a checkout or history."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from dulwich.client import GitClient
from dulwich.errors import GitProtocolError, NotGitRepository
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.repo import Repo, UnsupportedExtension, UnsupportedVersion

from ...errors import FetchError, near
from . import trees
from .address import is_path, parts_of_url
from .base import READ, Entry
from .transport import TooMuchError, connect, fetch_objects, translated

COMMIT = re.compile(r"[0-9a-f]{40}")
ABBREVIATED = re.compile(r"[0-9a-f]{4,39}")  # at least as long as git asks for
NAMES = ("refs/tags/", "refs/heads/")  # what a name may stand for
MOST_HISTORY = 64 << 20  # bytes of commits that are looked through for an abbreviated one
_PEELED = "^{}"
_ABSENT = ("not our ref", "not a valid object", "no such")


class GitReader:
    """Reads by the git protocol, or from a path of this machine. To be closed, since it keeps what it fetched."""

    def __init__(self, url: str, token: str, user: str) -> None:
        """Raises PublishError or FetchError for an address that cannot be one."""
        self._url = url
        path = _path(url)
        self._client: tuple[GitClient, str] | None = None if path else connect(url, token, user, READ)
        self._folder = tempfile.TemporaryDirectory(prefix="gt-fetch-")
        self._repo = _opened(path) if path else Repo.init_bare(self._folder.name)

    def close(self) -> None:
        """Forget what was fetched."""
        self._repo.close()
        if self._client is not None:
            self._client[0].close()
        self._folder.cleanup()

    def commit(self, revision: str) -> str:
        """The commit of a revision: HEAD, a branch, a tag, or a commit, in full or abbreviated.

        Raises FetchError where there is none, or more than one; PassingError where the server did not answer.
        """
        if COMMIT.fullmatch(revision):
            return revision
        refs = self._refs()
        commits = {name: refs[name] for name in (revision, *(f"{kind}{revision}" for kind in NAMES)) if name in refs}
        if len(set(commits.values())) > 1:
            raise FetchError(f"{revision} is more than one thing in {self._url}; write {' or '.join(commits)}")
        if commits:
            return next(iter(commits.values()))
        if ABBREVIATED.fullmatch(revision):
            matches = {tip for tip in refs.values() if tip.startswith(revision)} or self._history(revision, refs)
            if len(matches) > 1:
                ids = ", ".join(sorted(matches))
                raise FetchError(f"{revision} begins {len(matches)} commits of {self._url}: {ids}")
            if matches:
                return matches.pop()
        names = [name.removeprefix(kind) for name in refs for kind in NAMES if name.startswith(kind)]
        raise FetchError(f"{self._url} has no branch, tag or commit {revision}; {near(revision, names)}")

    def folders(self, commit: str, paths: Collection[str]) -> dict[str, dict[str, Entry]]:
        """What lies in each of these folders of a commit that is there, by name.

        Raises FetchError where there is no such commit, PassingError where the server did not answer.
        """
        identity = ObjectID(commit.encode())
        self._bring([identity], f"commit {commit}", depth=1, filter_spec=b"blob:none")
        with self._whole():
            content = self._repo.object_store.peel(identity)[1]
            if not isinstance(content, Commit):
                raise FetchError(f"{commit} is no commit of {self._url}; name one")
            listings = {path: trees.entries(self._repo.object_store, content.tree, path) for path in paths}
        return {path: entries for path, entries in listings.items() if entries is not None}

    def bring(self, blobs: Iterable[str]) -> None:
        """Have the content of these blobs at hand. Raises FetchError, or PassingError."""
        self._bring([ObjectID(each.encode()) for each in blobs], "a file of this commit")

    def content(self, blob: str) -> bytes:
        """The content of a blob that was brought."""
        with self._whole():
            content = self._repo.object_store[ObjectID(blob.encode())]
        if not isinstance(content, Blob):
            raise FetchError(f"{blob} is no file of {self._url}")
        return content.data

    def _bring(
        self, ids: Collection[ObjectID], what: str, depth: int | None = None, filter_spec: bytes | None = None
    ) -> None:
        store = self._repo.object_store
        missing = [each for each in dict.fromkeys(ids) if each not in store]
        if not missing:
            return
        with self._asking(what) as (client, path):
            fetch_objects(client, path, store, missing, depth, filter_spec)
        if any(each not in store for each in missing):
            raise FetchError(f"{self._url} does not give {what}: it is not there")

    def _refs(self) -> Mapping[str, str]:
        """The commits of HEAD, branches and tags, by whole name."""
        if self._client is None:
            refs = self._repo.refs.as_dict()
            return {name.decode(errors="replace"): self._repo.get_peeled(name).decode() for name in refs}
        with self._asking("refs") as (client, path):
            prefixes = [b"HEAD", *(kind.encode() for kind in NAMES)]
            answer = client.get_refs(path.encode(), ref_prefix=prefixes).refs
            ids = {name.decode(errors="replace"): _commit_id(each) for name, each in answer.items() if each is not None}
        return {name: ids.get(name + _PEELED, each) for name, each in ids.items() if not name.endswith(_PEELED)}

    def _history(self, beginning: str, refs: Mapping[str, str]) -> set[str]:
        """The commits of all branches and tags that begin like this. No server looks an abbreviation up by itself."""
        if self._client is None:
            return _commits(self._repo, beginning)
        tips = [ObjectID(tip.encode()) for tip in sorted(set(refs.values()))]
        with tempfile.TemporaryDirectory(prefix="gt-fetch-") as folder, Repo.init_bare(folder) as history:
            try:
                with self._asking("its commits") as (client, path):
                    fetch_objects(client, path, history.object_store, tips, filter_spec=b"tree:0", limit=MOST_HISTORY)
            except TooMuchError:
                raise FetchError(f"{self._url} does not send commits alone; write {beginning}… in full") from None
            return _commits(history, beginning)

    @contextmanager
    def _asking(self, what: str) -> Iterator[tuple[GitClient, str]]:
        if self._client is None:
            raise FetchError(f"{self._url} does not hold {what}; is it a part of a repository, or is the commit wrong?")
        with translated(self._url, READ):
            try:
                yield self._client
            except GitProtocolError as error:
                if any(sign in str(error) for sign in _ABSENT):
                    raise FetchError(f"{self._url} does not give {what}: it is not there, or was removed") from None
                raise

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            missing = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else "an object"
            raise FetchError(f"{self._url} lacks {missing}: it is a part of a repository; name a whole one") from None


def _path(url: str) -> Path | None:
    """Where a repository of this machine lies; None for one of a server. Raises FetchError or PublishError."""
    parts = None if is_path(url) else parts_of_url(url, READ)
    if parts is not None and parts.scheme != "file":
        return None
    path = Path(url if parts is None else unquote(parts.path))
    if not path.is_dir():
        raise FetchError(f"{url} is no directory; a server's address begins like https:// or ssh://")
    return path


def _commit_id(name: bytes) -> str:
    """Raises ValueError for what no server of git names a commit by."""
    text = name.decode()
    if not COMMIT.fullmatch(text):
        raise ValueError(text)
    return text


def _opened(path: Path) -> Repo:
    try:
        return Repo(str(path))
    except NotGitRepository:
        raise FetchError(f"{path} is no git repository; name one, or use the directory itself") from None
    except (ValueError, OSError, UnsupportedVersion, UnsupportedExtension) as error:
        raise FetchError(f"{path} cannot be read: {error}") from None


def _commits(repo: Repo, beginning: str) -> set[str]:
    store = repo.object_store
    return {each.decode() for each in store.iter_prefix(beginning.encode()) if isinstance(store[each], Commit)}
