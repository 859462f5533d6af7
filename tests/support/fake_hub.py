"""Servers on 127.0.0.1 that the fetch phase is tested against, with faults that a test plants.

`FakeHub` answers the routes that huggingface_hub 2 uses: model info with file metadata, and HEAD and GET (with ranges)
of `resolve` with the hub's own headers. Large files are LFS files with a sha256, small ones have a git object id.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tests.support.http_server import Handler, Http, next_fault

LFS_FROM = 1000  # bytes

MODEL = "owner/model"
FILES = {
    "model_index.json": b'{"_class_name": "FluxPipeline"}',
    "transformer/config.json": b"{}",
    "transformer/a.safetensors": bytes(range(256)) * 1200,
    "vae/b.safetensors": b"vae" * 5000,
}


@dataclass
class Answer:
    """What the server would say if nothing went wrong."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong instead, `times` times, for requests whose path matches."""

    path: str
    times: int
    method: str = "GET|HEAD"
    status: int | None = None  # this status, without a body
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # the connection ends after this many bytes of the body
    body: bytes | None = None  # this body
    unsized: bool = False  # the same body, its length not told
    delay_s: float = 0.0  # before each block of the body
    block: int = 1 << 16


class Server:
    """Serves files by path, keeps a log of requests, and fails where it was told to."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.files: dict[str, bytes] = {}
        self.log: list[tuple[str, str, dict[str, str]]] = []  # method, path, headers
        self.faults: list[Fault] = []
        self.down = False
        self._http = Http(self, _Handler, host)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self._http.server_port}"

    def start(self) -> None:
        self._http.thread.start()

    def stop(self) -> None:
        self.down = True
        self._http.stop()

    def plant(self, fault: Fault) -> None:
        self.faults.append(fault)

    def asked(self, method: str = "GET|HEAD", path: str = "") -> list[str]:
        """The paths of the requests so far, of a method and with a path that match."""
        return [p for m, p, _ in self.log if re.fullmatch(method, m) and re.search(path, p)]

    def answer(self, path: str, headers: dict[str, str]) -> Answer:  # for FakeHub
        body = self.files.get(path)
        return Answer(status=404) if body is None else Answer(body)


@dataclass
class Repo:
    """A repository of the fake hub: its commits, the newest last."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    token: str | None = None  # who has it, may read
    gated: bool = False  # others may see the listing, but no file

    @property
    def main(self) -> str:
        return list(self.commits)[-1]


class FakeHub(Server):
    """A model hub. `hub.url` is what HF_ENDPOINT is set to."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.repos: dict[str, Repo] = {}

    def push(self, name: str, files: dict[str, bytes]) -> str:
        """A new commit of main; returns it."""
        repo = self.repos.setdefault(name, Repo())
        commit = hashlib.sha1(repr((name, len(repo.commits), sorted(files.items()))).encode()).hexdigest()  # noqa: S324
        repo.commits[commit] = files
        return commit

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", parts.path):
            return self._info(found[1], unquote(found[2] or "main"), headers, blobs="blobs" in parts.query)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", parts.path):
            return self._file(found[1], found[2], unquote(found[3]), headers)
        return Answer(status=404)

    def _info(self, name: str, revision: str, headers: dict[str, str], *, blobs: bool) -> Answer:
        repo = self.repos.get(name)
        if repo is None or (repo.token and not repo.gated and not _allowed(repo, headers)):
            return _refusal(401, "RepoNotFound")
        commit = repo.main if revision == "main" else revision
        if commit not in repo.commits:
            return _refusal(404, "RevisionNotFound")
        siblings = [_sibling(file, body, blobs=blobs) for file, body in sorted(repo.commits[commit].items())]
        info = {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "private": False, "tags": []}
        return Answer(json.dumps(info).encode(), headers={"Content-Type": "application/json"})

    def _file(self, name: str, commit: str, file: str, headers: dict[str, str]) -> Answer:
        repo = self.repos[name]
        if repo.token and not _allowed(repo, headers):
            return _refusal(403, "GatedRepo") if repo.gated else _refusal(401, "RepoNotFound")
        body = repo.commits.get(commit, {}).get(file)
        if body is None:
            return _refusal(404, "EntryNotFound")
        lfs = len(body) >= LFS_FROM
        etag = hashlib.sha256(body).hexdigest() if lfs else git_oid(body)
        extra = {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(body))} if lfs else {}
        return Answer(body, headers={"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes", **extra})


@contextmanager
def serving(server: Server) -> Iterator[None]:
    """The server runs inside; one that a test stopped itself is left alone."""
    server.start()
    try:
        yield
    finally:
        server.stop()


def git_oid(body: bytes) -> str:
    """The id that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()  # noqa: S324


def _allowed(repo: Repo, headers: dict[str, str]) -> bool:
    return headers.get("authorization") == f"Bearer {repo.token}"


def _refusal(status: int, code: str) -> Answer:
    return Answer(status=status, headers={"X-Error-Code": code, "X-Error-Message": code})


def _sibling(name: str, body: bytes, *, blobs: bool) -> dict[str, object]:
    sibling: dict[str, object] = {"rfilename": name}
    if blobs:
        sibling |= {"size": len(body), "blobId": git_oid(body)}
        if len(body) >= LFS_FROM:
            sibling["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 130}
    return sibling


class _Handler(Handler):
    def respond(self) -> None:
        owner = self.server.owner
        headers = {key.lower(): value for key, value in self.headers.items()}
        owner.log.append((self.command, self.path, headers))
        if owner.down:  # a connection that was kept alive
            self.close_connection = True
            return
        fault = next_fault(owner.faults, self.command, self.path) or Fault("", 0)
        answer = Answer(status=fault.status) if fault.status else owner.answer(self.path, headers)
        whole = answer.body if fault.body is None else fault.body
        first = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))) else 0
        if first:
            answer.status = 206
            answer.headers["Content-Range"] = f"bytes {first}-{len(whole) - 1}/{len(whole)}"
        self._send(answer, fault, whole[first:], body=self.command == "GET")

    def _send(self, answer: Answer, fault: Fault, content: bytes, *, body: bool) -> None:
        self.send_response(answer.status)
        for key, value in (answer.headers | fault.headers).items():
            self.send_header(key, value)
        self.send_header(*(("Connection", "close") if fault.unsized else ("Content-Length", str(len(content)))))
        self.end_headers()
        if body:
            self._write(content[: fault.cut_after], fault)
        self.close_connection = fault.unsized or fault.cut_after is not None

    def _write(self, content: bytes, fault: Fault) -> None:
        try:
            for start in range(0, len(content), fault.block):
                time.sleep(fault.delay_s)
                self.wfile.write(content[start : start + fault.block])
        except OSError:  # the client has gone, which is what some tests are about
            self.close_connection = True
