"""GitHub's git data API as its documentation has it, over a real bare repository: those routes that publishing uses.

https://docs.github.com/en/rest/git (refs, commits, trees, blobs), /en/rest/commits/commits (compare) and
/en/rest/pulls/pulls
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.support.git_server import Fault, git
from tests.support.http_server import Handler, Http, next_fault

Answer = tuple[int, Any]


@dataclass
class FakeGithub:
    """One repository, owner/data."""

    bare: Path
    token: str = "gt_planted_secret"
    reader: str = "gt_reader"
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)  # pull requests, as they were asked for

    def __post_init__(self) -> None:
        self._http = Http(self, _Handler)
        self._lock = threading.Lock()
        self._routes: dict[str, Callable[..., Answer]] = {
            r"GET (?P<who>\w+) ": self._about,
            r"GET \w+ git/ref/heads/(?P<branch>.+)": self._ref,
            r"GET \w+ git/matching-refs/heads/(?P<start>.+)": self._matching,
            r"GET \w+ git/commits/(?P<sha>\w{40})": self._commit,
            r"GET \w+ git/trees/(?P<sha>\w{40})(?P<recursive>\?recursive=1)?": self._tree,
            r"GET \w+ git/blobs/(?P<sha>\w{40})": self._blob,
            r"GET \w+ compare/(?P<base>\w{40})\.\.\.(?P<head>\w{40})": self._compare,
            r"GET \w+ pulls\?(?P<query>.+)": self._requests,
            r"POST writer pulls": self._make_request,
            r"POST writer git/blobs": self._make_blob,
            r"POST writer git/trees": self._make_tree,
            r"POST writer git/commits": self._make_commit,
            r"POST writer git/refs": self._make_ref,
            r"PATCH writer git/refs/heads/(?P<branch>.+)": self._move_ref,
        }

    @property
    def url(self) -> str:
        return "https://github.com/owner/data"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def serving(self) -> Iterator[FakeGithub]:
        with self._http.serving():
            yield self

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        route = path.removeprefix("/repos/owner/data").removeprefix("/")
        self.asked.append(f"{method} {route}")
        fault = next_fault(self.faults, method, route)
        if fault is not None and not fault.late:
            return fault.status, _planted(fault), fault.headers
        who = {self.token: "writer", self.reader: "reader"}.get(token)
        if who is None:
            return 401, {"message": "Bad credentials"}, {}
        for pattern, action in self._routes.items():
            found = re.fullmatch(pattern, f"{method} {who} {route}")
            if found:
                status, said = action(body, **found.groupdict())
                return (fault.status, _planted(fault), fault.headers) if fault else (status, said, {})
        return (403 if method != "GET" else 404), {"message": "Resource not accessible by personal access token"}, {}

    def _about(self, _: dict[str, Any], who: str) -> Answer:
        permissions = {"pull": True, "push": who == "writer"}
        return 200, {"full_name": "owner/data", "default_branch": "main", "permissions": permissions}

    def _ref(self, _: dict[str, Any], branch: str) -> Answer:
        if not self._git("for-each-ref"):
            return 409, {"message": "Git Repository is empty."}
        sha = self._commit_of(branch)
        if not sha:
            return 404, {"message": "Not Found"}
        return 200, {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": sha}}

    def _matching(self, _: dict[str, Any], start: str) -> Answer:
        names = self._git("for-each-ref", "--format=%(refname)", "refs/heads").splitlines()
        return 200, [{"ref": name} for name in names if name.startswith(f"refs/heads/{start}")]

    def _commit(self, _: dict[str, Any], sha: str) -> Answer:
        return 200, {"sha": sha, "tree": {"sha": self._git("rev-parse", f"{sha}^{{tree}}")}}

    def _tree(self, _: dict[str, Any], sha: str, recursive: str | None) -> Answer:
        flags = ["-r", "-t"] if recursive else []
        entries = [line.split(maxsplit=3) for line in self._git("ls-tree", *flags, sha).splitlines()]
        listed = [{"mode": mode, "type": kind, "sha": each, "path": path} for mode, kind, each, path in entries]
        return 200, {"sha": sha, "tree": listed, "truncated": False}

    def _blob(self, _: dict[str, Any], sha: str) -> Answer:
        content = subprocess.run(
            ["git", "-C", str(self.bare), "cat-file", "blob", sha], capture_output=True, check=True
        )
        return 200, {"sha": sha, "encoding": "base64", "content": base64.encodebytes(content.stdout).decode()}

    def _compare(self, _: dict[str, Any], base: str, head: str) -> Answer:
        ahead, behind = (self._git("rev-list", "--count", f"{a}..{b}") for a, b in ((base, head), (head, base)))
        status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
        return 200, {"status": status.get((ahead != "0", behind != "0"), "diverged")}

    def _make_blob(self, body: dict[str, Any]) -> Answer:
        assert body["encoding"] == "base64"
        return 201, {"sha": self._git("hash-object", "-w", "--stdin", stdin=base64.b64decode(body["content"]))}

    def _make_tree(self, body: dict[str, Any]) -> Answer:
        index = self.bare / f"index-{threading.get_ident()}"
        env = {"GIT_INDEX_FILE": str(index)}
        self._git("read-tree", body["base_tree"], env=env)
        for entry in body["tree"]:
            zero = entry["sha"] is None
            line = f"{'0' if zero else entry['mode']} {entry['sha'] or '0' * 40}\t{entry['path']}\n"
            self._git("update-index", "--index-info", stdin=line.encode(), env=env)
        tree = self._git("write-tree", env=env)
        index.unlink()
        return 201, {"sha": tree}

    def _make_commit(self, body: dict[str, Any]) -> Answer:
        assert not {"author", "committer", "signature"} & body.keys()  # GitHub would not sign it
        roles = [f"GIT_{role}" for role in ("AUTHOR", "COMMITTER")]
        env = {f"{role}_NAME": "github-actions[bot]" for role in roles} | {
            f"{role}_EMAIL": "bot@github" for role in roles
        }
        parents = [word for parent in body["parents"] for word in ("-p", parent)]
        sha = self._git("commit-tree", body["tree"], *parents, stdin=body["message"].encode(), env=env)
        return 201, {"sha": sha}

    def _make_ref(self, body: dict[str, Any]) -> Answer:
        try:
            self._git("update-ref", body["ref"], body["sha"], "0" * 40)
        except subprocess.CalledProcessError as error:
            conflict = b"cannot create" in error.stderr
            return 422, {"message": "Reference update failed" if conflict else "Reference already exists"}
        return 201, {"ref": body["ref"]}

    def _requests(self, _: dict[str, Any], query: str) -> Answer:
        asked = {name: value[0] for name, value in parse_qs(query).items()}
        assert asked["state"] == "open"
        return 200, [
            each for each in self.requests if (f"owner:{each['head']}", each["base"]) == (asked["head"], asked["base"])
        ]

    def _make_request(self, body: dict[str, Any]) -> Answer:
        assert len(body["body"]) <= 65536
        for branch in (body["head"], body["base"]):
            if not self._git("for-each-ref", f"refs/heads/{branch}"):
                return 422, {"message": "Validation Failed", "errors": [f"{branch} is no branch"]}
        self.requests.append({**body, "html_url": f"{self.url}/pull/{len(self.requests) + 1}"})
        return 201, self.requests[-1]

    def _move_ref(self, body: dict[str, Any], branch: str) -> Answer:
        assert body["force"] is False
        with self._lock:
            now = self._commit_of(branch)
            if not now:
                return 422, {"message": "Reference does not exist"}
            if self._git("rev-list", "--count", f"{body['sha']}..{now}") != "0":
                return 422, {"message": "Update is not a fast forward"}
            self._git("update-ref", f"refs/heads/{branch}", body["sha"], now)
        return 200, {"ref": f"refs/heads/{branch}"}

    def _commit_of(self, branch: str) -> str:
        """Empty where there is none: for-each-ref alone would give those below it, too."""
        refs = self._git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/heads/{branch}").splitlines()
        return dict(line.split() for line in refs).get(f"refs/heads/{branch}", "")

    def _git(self, *arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> str:
        return git("-C", str(self.bare), *arguments, stdin=stdin, env=env)


def _planted(fault: Fault) -> Any:
    return {"message": fault.message} if fault.status >= 400 else fault.message


class _Handler(Handler):
    def respond(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else {}
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, answer, headers = self.server.owner.answer(self.command, self.path, token, body)
        self.send(status, headers, (answer if isinstance(answer, str) else json.dumps(answer)).encode())
