"""A data repository on GitHub, by its REST API: no object of the repository is fetched but those that are looked at."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx  # what dagger-io brings already; the few routes need no client of their own

from ...errors import PublishError, printable
from .address import is_path, parts_of_url
from .base import (
    CONNECT,
    PASSING,
    CommitRefusedError,
    Entry,
    Head,
    MovedError,
    PassingError,
    blob_id,
    check_folder,
    check_new,
    parts_of,
    seconds,
)

API = "https://api.github.com"
TIMEOUT = httpx.Timeout(60, connect=CONNECT)  # seconds
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "diffusion-gt",
}


class GithubRemote:
    """See `Remote`. To be closed, since it keeps a connection."""

    def __init__(self, url: str, branch: str, token: str, base: str) -> None:
        """A branch that is not there begins where `base` is, or the default branch."""
        self.branch, self._base = branch, base
        self._url = url
        self._name = _repository(url)
        self._contents: dict[str, bytes] = {}  # what lies on the server already, by blob id: is not sent twice
        self._head: str | None = None
        self._existed = False
        self._http = httpx.Client(
            base_url=f"{_api(url)}/repos/{self._name}/",
            headers=_HEADERS | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=TIMEOUT,
            follow_redirects=True,
        )

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def check_access(self) -> None:
        """As `Remote` says."""
        about = self._ask("GET", "")
        if not about.get("permissions", {}).get("push"):
            raise PublishError(f"{self._url}: the token may not write there; set GT_PUBLISH_TOKEN to one that may")
        self.branch = self.branch or about["default_branch"]

    def head(self, folders: Collection[str]) -> Head:
        """As `Remote` says."""
        default = self._ask("GET", "")["default_branch"]
        self.branch = self.branch or default
        commit = self._commit_of(self.branch)
        new = commit is None
        if new and self._existed:
            raise MovedError(f"branch {self.branch} of {self._url} is gone")
        if new:
            check_new(self.branch, self._alike())
        self._existed |= not new
        commit = commit or self._commit_of(self._base or default)
        self._head = commit
        if commit is None:
            raise PublishError(f"{self._url} is empty, and GitHub's API makes no first commit; use --via git")
        root = self._ask("GET", f"git/commits/{commit}")["tree"]["sha"]
        listings = [self._files(root, folder) for folder in folders]
        return Head(commit, new, {path: entry for each in listings for path, entry in each.items()})

    def read(self, ids: Iterable[str]) -> dict[str, bytes]:
        """As `Remote` says."""
        contents = {}
        for each in ids:
            if each not in self._contents:
                self._contents[each] = base64.b64decode(self._ask("GET", f"git/blobs/{each}")["content"])
            contents[each] = self._contents[each]
        return contents

    def make(self, on: Head, changes: Mapping[str, bytes | None], message: str) -> str:
        """As `Remote` says: on the server, where no branch has it yet.

        GitHub signs a commit that names no author and no committer, where an app's token makes it.
        """
        entries = [self._entry(path, content) for path, content in changes.items()]
        base = self._ask("GET", f"git/commits/{on.commit}")["tree"]["sha"]
        tree = self._ask("POST", "git/trees", {"base_tree": base, "tree": entries})["sha"]
        return str(self._ask("POST", "git/commits", {"message": message, "tree": tree, "parents": [on.commit]})["sha"])

    def advance(self, on: Head, commit: str) -> None:
        """As `Remote` says: the API moves a branch forward only, and so refuses one that others have moved."""
        if on.new:
            answer = self._answer("POST", "git/refs", {"ref": f"refs/heads/{self.branch}", "sha": commit})
        else:
            answer = self._answer("PATCH", f"git/refs/heads/{quote(self.branch)}", {"sha": commit, "force": False})
        reason = _message(answer)
        if answer.status_code in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY) and _is_moved(reason):
            raise MovedError(f"the server says of branch {self.branch}: {reason}")
        if answer.is_client_error:
            raise CommitRefusedError(
                f"{self._url} does not take the commit ({answer.status_code}): {reason}; check the rules of branch "
                f"{self.branch}, and what the token may do"
            )
        self._checked(answer)

    def propose(self, base: str, title: str, text: str) -> str | None:
        """As `Remote` says: a request that is open for the branch stays as it is."""
        owner = self._name.partition("/")[0]
        query = urlencode({"head": f"{owner}:{self.branch}", "base": base, "state": "open"})
        answer = self._answer("GET", f"pulls?{query}")
        requests = _content(answer) if answer.is_success else []
        if isinstance(requests, list) and requests and isinstance(requests[0], _Content):
            return str(requests[0]["html_url"])
        body = {"title": title, "head": self.branch, "base": base, "body": text}
        return str(self._ask("POST", "pulls", body)["html_url"])

    def holds(self, commit: str) -> bool:
        """As `Remote` says."""
        if commit == self._head:
            return True
        answer = self._answer("GET", f"compare/{commit}...{self._head}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        return self._checked(answer)["status"] in ("ahead", "identical")

    def _commit_of(self, branch: str) -> str | None:
        answer = self._answer("GET", f"git/ref/heads/{quote(branch)}")
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):  # 409: the repository is empty
            return None
        return str(self._checked(answer)["object"]["sha"])

    def _alike(self) -> list[str]:
        """The branches that begin as this one does; GitHub gives them as a list."""
        answer = self._answer("GET", f"git/matching-refs/heads/{quote(self.branch.partition('/')[0])}")
        refs = _content(answer) if answer.is_success else []
        return [str(each["ref"]).removeprefix("refs/heads/") for each in refs if isinstance(each, _Content)]

    def _files(self, root: str, folder: str) -> dict[str, Entry]:
        """Files, links and submodules that lie below a folder, by whole path; none where the folder is not there."""
        tree = root
        for part in PurePosixPath(folder).parts:
            entry = _entries(self._ask("GET", f"git/trees/{tree}")).get(part)
            if entry is None:
                return {}
            check_folder(entry, part, folder)
            tree = entry.id
        listing = self._ask("GET", f"git/trees/{tree}?recursive=1")
        if listing.get("truncated"):
            raise PublishError(f"{folder} holds more files than GitHub's API lists; use --via git")
        return {f"{folder}/{path}": entry for path, entry in _entries(listing).items() if not entry.is_folder}

    def _entry(self, path: str, content: bytes | None) -> dict[str, str | None]:
        parts_of(path)
        sha = None if content is None else blob_id(content)
        if content is not None and sha is not None and sha not in self._contents:
            blob = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
            self._ask("POST", "git/blobs", blob)
            self._contents[sha] = content
        return {"path": path, "mode": "100644", "type": "blob", "sha": sha}

    def _ask(self, method: str, route: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._checked(self._answer(method, route, body))

    def _answer(self, method: str, route: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self._http.request(method, route, json=body)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise PassingError(f"{self._url}: {str(error) or type(error).__name__}", reached=reached) from error
        pause = _pause(answer)
        if answer.status_code in PASSING or pause is not None:
            raise PassingError(f"{self._url}: the server answered {answer.status_code}", pause)
        return answer

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_success:
            content = _content(answer)
            if not isinstance(content, _Content):
                raise PassingError(f"{self._url}: the answer is none of GitHub's API; is there a proxy on the way?")
            return content
        advice = "check the address, and that GT_PUBLISH_TOKEN may write there"
        raise CommitRefusedError(f"{self._url}: the server answered {answer.status_code}: {_message(answer)}; {advice}")


class _Content(dict[str, Any]):
    """A JSON object of an answer."""

    def __missing__(self, key: str) -> Any:
        raise PassingError(f"the answer has no {key!r}: it is none of GitHub's API; is there a proxy on the way?")


def _content(answer: httpx.Response) -> Any:
    """What an answer holds; None where it is no JSON."""
    try:
        return answer.json(object_hook=_Content)
    except ValueError:
        return None


def _entries(tree: Mapping[str, Any]) -> dict[str, Entry]:
    """What an answer about a tree lists, by path."""
    return {each["path"]: Entry(int(each["mode"], 8), each["sha"]) for each in tree["tree"]}


def _repository(url: str) -> str:
    parts = () if is_path(url) else PurePosixPath(parts_of_url(url).path.removesuffix(".git")).parts
    if not url.startswith(("https://", "http://")) or len(parts) < 3:  # noqa: PLR2004  # "/", owner, name
        raise PublishError(f"{url} names no repository of GitHub; write it like https://github.com/OWNER/NAME")
    return "/".join(parts[-2:])


def _api(url: str) -> str:
    """As Actions names it, else GitHub's own, else that of an Enterprise server."""
    host = urlsplit(url).hostname
    own = API if host in ("github.com", "www.github.com") else f"https://{host}/api/v3"
    return os.environ.get("GITHUB_API_URL", own).rstrip("/")


def _pause(answer: httpx.Response) -> float | None:
    """The pause that a rate limit asks for; GitHub answers 403 or 429, with either of two headers."""
    if answer.status_code not in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS):
        return None
    pause = seconds(answer.headers.get("Retry-After"))
    if pause is None and answer.headers.get("X-RateLimit-Remaining") == "0":
        pause = max(0.0, (seconds(answer.headers.get("X-RateLimit-Reset")) or 0) - time.time()) + 1
    return pause


def _message(answer: httpx.Response) -> str:
    """GitHub's words: the rules of a branch that speak against a commit stand in the message, one a line."""
    try:
        content = answer.json()
        errors = [each if isinstance(each, str) else each.get("message", "") for each in content.get("errors", [])]
        return printable("; ".join(line for line in [*content["message"].splitlines(), *errors] if line.strip()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.reason_phrase


def _is_moved(reason: str) -> bool:
    signs = ("fast forward", "fast-forward", "already exists", "does not exist", "conflict", "is at", "lock ref")
    return any(sign in reason.lower() for sign in signs)
