"""Repositories of the model hub, in huggingface_hub's own cache and under its own file locks.

Files are fetched one by one with `hf_hub_download`. `snapshot_download` does the same, but it lists the repository once
more without a time limit, and on Ctrl-C it waits for the files that are under way.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils._xet import abort_xet_session  # what huggingface_hub itself calls on Ctrl-C

from ..contract import FetchedRepository, Repository
from ..errors import AccessError, FetchError, os_reason
from . import variants
from .folders import Folders
from .index import Index, IndexedFile, digest, replace_text, select, verify
from .progress import Meter, Progress, in_parallel
from .retry import TIMEOUT_S, UnreachableError, chain, disk_error, may_pass, persistently, reason, response_of

_THREADS = 8  # as snapshot_download
_STALE_S = 3600.0  # huggingface_hub gives up after seconds without a byte: what is this old, a killed process left
_NEWEST_TIMEOUT_S, _NEWEST_LIMIT_S = 5.0, 6.0  # for one answer, and until the last try begins
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError, ValueError)

T = TypeVar("T")
logger = logging.getLogger(__name__)


def commit_of(repo: str, revision: str | None) -> str:
    """The commit that a revision (None: main) names now; without the hub, the one that it named when last fetched.

    Raises FetchError.
    """
    name = revision or constants.DEFAULT_REVISION
    if _COMMIT.fullmatch(name):
        return name
    try:
        return newest(repo, name)
    except UnreachableError as error:
        ref = _ref(repo, name)
        if not ref.is_file():
            raise
        logger.warning("%s; taking the commit of %s that was fetched last", error, name)
        return ref.read_text(encoding="utf-8").strip()


def newest(repo: str, name: str, timeout_s: float = TIMEOUT_S, limit_s: float | None = None) -> str:
    """The commit of a branch or tag on the hub. Raises FetchError; UnreachableError where the hub does not answer."""
    api = HfApi(token=_token())
    info = _ask(repo, name, lambda: api.model_info(repo, revision=name, timeout=timeout_s), limit_s)
    if info.sha is None:
        raise FetchError(f"{repo}: the hub at {constants.ENDPOINT} names no commit for {name}; pin model.revision")
    return info.sha


def newest_of(repos: Iterable[str]) -> dict[str, dict[str, str]]:
    """For each repository its newest `commit`, or the `error` that kept it from being found.

    A hub that does not answer is not asked for the other repositories: without a network this ends within 20 s.
    """
    answers: dict[str, dict[str, str]] = {}
    silence: str | None = None
    for repo in repos:
        try:
            if silence is None:
                answers[repo] = {"commit": newest(repo, constants.DEFAULT_REVISION, _NEWEST_TIMEOUT_S, _NEWEST_LIMIT_S)}
                continue
        except UnreachableError as error:
            silence = reason(error.__cause__ or error) if response_of(error) is None else None
            answers[repo] = {"error": str(error)}
        except FetchError as error:
            answers[repo] = {"error": str(error)}
        if silence is not None:
            answers[repo] = {"error": f"{repo}: {silence}; check the network and HF_ENDPOINT"}
    return answers


class Snapshot:
    """The files of one repository at one commit that a case needs."""

    def __init__(self, repository: Repository, commit: str, folders: Folders) -> None:
        self.repo = repository["repo"]
        self.commit = commit
        self._revision = repository.get("revision") or constants.DEFAULT_REVISION
        self._patterns = repository.get("files")
        self._repository = repository
        self._folder = _storage(self.repo) / "snapshots" / commit
        self._index = Index(_storage(self.repo) / "diffusion-gt" / f"{commit}.json", folders.cache)
        self._records = self._index.load()

    def complete(self) -> bool:
        """Whether every file is there, as large as it was when it was verified. Needs no network."""
        return bool(self._records) and not self._to_do()

    def look_up(self) -> None:
        """Ask the hub what the commit holds, and for a file, so that missing rights show before the first gigabyte.

        Raises FetchError.
        """
        self._records = _listing(self.repo, self.commit) | self._records
        if "variant" in self._repository:
            variants.check(self.repo, self._repository["variant"], self._names())
        url = hf_hub_url(self.repo, self._names()[0], revision=self.commit)
        _ask(self.repo, self.commit, lambda: get_hf_file_metadata(url, token=_token(), timeout=TIMEOUT_S))

    def missing_bytes(self) -> int:
        """How many bytes are still to be downloaded."""
        return sum(self._records[name].size for name in self._names() if not self._sized(name))

    def obtain(self, progress: Progress) -> None:
        """Download what is missing and verify it. Needs `look_up` before. Raises FetchError."""
        with self._index.alone(f"fetching {self.repo}"):
            self._records |= self._index.load()
            self._sweep()
            to_do = self._to_do()
            total = sum(self._records[name].size for name in self._names())
            came = Meter(self.repo, total, progress)
            checked = Meter(f"{self.repo}: sha256", sum(self._records[name].size for name in to_do), progress)
            for name in self._names():
                if self._sized(name):
                    came.at(name, self._records[name].size)

            def stop() -> None:
                came.stop()
                checked.stop()
                abort_xet_session()  # type: ignore[no-untyped-call]  # its own threads do not look at our meters

            in_parallel(lambda name: self._obtain(name, came, checked), to_do, stop, _THREADS)

    def remember(self) -> None:
        """Write down the commit of a branch, as huggingface_hub's cache does, for a later run without the hub.

        Only once the files are there: offline, an older commit that is whole is of more use than a newer name.
        """
        ref = _ref(self.repo, self._revision)
        if _COMMIT.fullmatch(self._revision) or (ref.is_file() and ref.read_text(encoding="utf-8") == self.commit):
            return
        with contextlib.suppress(OSError):  # a shared cache that only others fill
            replace_text(ref, self.commit)

    def result(self) -> FetchedRepository:
        """The repository as the case's process reads it."""
        records = {name: self._records[name] for name in self._names()}
        return {
            "repo": self.repo,
            "path": str(self._folder),
            "commit": self.commit,
            "identity": identity(self.commit),
            "digest": digest(records),
            "bytes": sum(record.size for record in records.values()),
            "files": list(records),
        }

    def _obtain(self, name: str, came: Meter, checked: Meter) -> None:
        record = replace(self._records[name], sha256=None)
        for last in (False, True):
            path = self._download(name, came)
            try:
                self._records[name] = verify(path, name, record, lambda done: checked.at(name, done))
            except FetchError as error:
                _discard(path)
                if last:
                    advice = "try later, or unset HF_ENDPOINT to pass a mirror by"
                    raise FetchError(f"{self.repo}: {error}, also when fetched again; {advice}") from error
            else:
                break
        self._index.save(self._records)

    def _download(self, name: str, came: Meter) -> Path:
        def download() -> str:
            came.at(name, 0)  # each try counts anew, and none begins after a stop
            return hf_hub_download(self.repo, name, revision=self.commit, token=_token(), tqdm_class=came.bar(name))

        return Path(_ask(self.repo, self.commit, download))

    def _names(self) -> list[str]:
        return select(self._records, self._patterns, self.repo)

    def _to_do(self) -> list[str]:
        return [name for name in self._names() if self._records[name].sha256 is None or not self._sized(name)]

    def _sized(self, name: str) -> bool:
        try:
            return (self._folder / name).stat().st_size == self._records[name].size
        except OSError:
            return False

    def _sweep(self) -> None:
        for partial in (_storage(self.repo) / "blobs").glob("*.incomplete"):
            with contextlib.suppress(OSError):  # another process swept first, or the cache is read-only
                if time.time() - partial.stat().st_mtime > _STALE_S:
                    partial.unlink()


def identity(commit: str) -> str:
    """What a result's key holds of a repository of the hub."""
    return f"commit:{commit}"


def _listing(repo: str, commit: str) -> dict[str, IndexedFile]:
    api = HfApi(token=_token())
    info = _ask(repo, commit, lambda: api.model_info(repo, revision=commit, files_metadata=True, timeout=TIMEOUT_S))
    records: dict[str, IndexedFile] = {}
    for file in info.siblings or []:
        if file.size is None:
            raise FetchError(f"{repo}: the hub at {constants.ENDPOINT} lists no file sizes; unset HF_ENDPOINT")
        lfs = None if file.lfs is None else file.lfs.sha256
        records[file.rfilename] = IndexedFile(file.size, lfs_sha256=lfs, git_oid=None if lfs else file.blob_id)
    return records


def _ask(repo: str, revision: str, action: Callable[[], T], limit_s: float | None = None) -> T:
    try:
        return persistently(action, repo, limit_s)
    except _HUB_ERRORS as error:
        raise _explained(repo, revision, error) from error


def _explained(repo: str, revision: str, error: Exception) -> FetchError:
    """The error as a FetchError that names what the user can do."""
    links = list(chain(error))
    answer = response_of(error)
    if any(isinstance(link, OfflineModeIsEnabled) for link in links):
        return UnreachableError(f"{repo} at {revision} is not all in the cache; unset HF_HUB_OFFLINE, or use --models")
    if any(isinstance(link, RevisionNotFoundError) for link in links):
        return FetchError(f"{repo} has no revision {revision}; check the case's `revision`")
    if any(isinstance(link, RepositoryNotFoundError) for link in links) or (
        answer is not None and answer.status_code in (401, 403)
    ):
        return _no_access(repo, gated=any(isinstance(link, GatedRepoError) for link in links))
    if (trouble := disk_error(error)) is not None:
        return FetchError(f"{repo}: {os_reason(trouble)}; set HF_HOME to a folder that can be written and has room")
    if may_pass(error):
        return UnreachableError(f"{repo}: {reason(error)} (tried again several times); try later, or use --models")
    return FetchError(f"{repo}: {reason(error)}; check the network, HF_ENDPOINT and the case's `repo`")


def _no_access(repo: str, *, gated: bool) -> AccessError:
    page = f"{constants.ENDPOINT}/{repo}"
    if gated:
        account = "of the account that did" if _token() is False else "of that account: the present one has no access"
        return AccessError(f"{repo} is gated: accept its licence at {page} and set HF_TOKEN to a token {account}")
    if _token() is False:
        return AccessError(
            f"{repo} is not there or is private: check the name, or set HF_TOKEN to a token that may read it"
        )
    return AccessError(f"{repo} is not there, or HF_TOKEN may not read it: check both, or ask for access at {page}")


def _token() -> str | Literal[False]:
    # Never the token of `hf auth login`: a run depends on its arguments, not on the machine.
    return os.environ.get("HF_TOKEN", "").strip() or False


def _storage(repo: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def _ref(repo: str, revision: str) -> Path:
    return _storage(repo) / "refs" / revision


def _discard(path: Path) -> None:
    """Removes a file of a snapshot, and the blob that it links to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)
