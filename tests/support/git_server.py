"""A real git server on this machine: `git http-backend` behind HTTP, with a token, and failures that tests plant."""

from __future__ import annotations

import base64
import math
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.http_server import Handler, Http, next_fault

WRITE = "git-receive-pack"


@dataclass
class Fault:
    """What goes wrong, `times` times, for requests whose path and query match."""

    path: str
    status: int
    times: int = 1
    method: str = "GET|POST"
    late: bool = False  # the request is carried out first, and the answer is lost
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "planted"


@dataclass
class GitServer:
    """Serves every bare repository of a folder."""

    root: Path
    address: str = "127.0.0.1"
    token: str = "gt_planted_secret"  # may read and write
    reader: str = "gt_reader"  # may read
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # method and path of each request
    sent: list[int] = field(default_factory=list)  # bytes of each answer
    dies_after: float = math.inf  # requests of `asked`; of every later one half of the answer comes
    watching: bool = False
    arguments: set[str] = field(default_factory=set)  # command lines on this machine while it answered, if watching

    def __post_init__(self) -> None:
        self._http = Http(self, _Handler, self.address)

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self._http.server_port}/data.git"

    @property
    def bare(self) -> Path:
        return self.root / "data.git"

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """What git says, in the bare repository."""
        return git("-C", str(folder or self.bare), *arguments)

    @contextmanager
    def serving(self) -> Iterator[GitServer]:
        with self._http.serving():
            yield self


def git(*arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> str:
    identity = {
        f"GIT_{role}_{part}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
    }
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *arguments],
        check=True,
        capture_output=True,
        input=stdin,
        env={**os.environ, **identity, **settings, **(env or {})},
    )
    return done.stdout.decode().strip()


def bare(folder: Path, files: dict[str, bytes] | None = None, branch: str = "main") -> Path:
    """A bare repository with one commit, or none where there are no files."""
    git("init", "--quiet", "--bare", "-b", branch, str(folder))
    if files:
        push(folder, files, branch)
    return folder


def push(repository: Path, files: dict[str, bytes], branch: str = "main") -> str:
    """Another writer's commit; returns it."""
    work = repository.parent / f"work-{repository.name}"
    if not work.exists():
        git("init", "--quiet", "-b", branch, str(work))
    elif git("-C", str(repository), "for-each-ref", f"refs/heads/{branch}"):
        git("-C", str(work), "fetch", "--quiet", str(repository), branch)
        git("-C", str(work), "reset", "--hard", "--quiet", "FETCH_HEAD")
    for name, content in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    git("-C", str(work), "add", ".")
    git("-C", str(work), "commit", "--quiet", "-m", "another writer's")
    git("-C", str(work), "push", "--quiet", str(repository), f"HEAD:{branch}")
    return git("-C", str(work), "rev-parse", "HEAD")


class _Handler(Handler):
    def respond(self) -> None:
        owner, body = self.server.owner, self._body()
        owner.asked.append(f"{self.command} {self.path}")
        if owner.watching:
            owner.arguments |= _command_lines()
        fault = next_fault(owner.faults, self.command, self.path)
        user = self._user()
        if fault is not None and not fault.late:
            return self._send(fault.status, fault.headers, b"planted")
        if user is None:
            return self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
        if user == "reader" and WRITE in self.path:
            return self._send(403, {}, b"")
        status, headers, answer = self._backend(body, user)
        if fault is not None:
            return self._send(fault.status, fault.headers, b"planted")
        return self._send(status, headers, answer)

    def _user(self) -> str | None:
        kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
        given = base64.b64decode(credentials).decode().partition(":")[2] if kind == "Basic" else ""
        return {self.server.owner.token: "writer", self.server.owner.reader: "reader"}.get(given)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _backend(self, body: bytes, user: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(self.path)
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": user,
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=False, env=environment)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        return status, headers, answer

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        owner = self.server.owner
        owner.sent.append(len(body))
        self.close_connection = len(owner.asked) > owner.dies_after
        whole = {"Content-Length": str(len(body))}
        self.send(status, {**whole, **headers}, body[: len(body) // 2] if self.close_connection else body)


def _command_lines() -> set[str]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return found
