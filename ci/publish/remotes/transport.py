"""The way to a git server, and what its answers mean: try later, or give up and say why."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dulwich.client
import urllib3
from dulwich.client import (
    AuthCallbackPoolManager,
    GitClient,
    SubprocessGitClient,
    TCPGitClient,
    default_urllib3_manager,
    get_transport_and_path,
)
from dulwich.config import StackedConfig
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository, SendPackError
from dulwich.object_store import PackCapableObjectStore
from dulwich.objects import ObjectID
from dulwich.protocol import Protocol
from dulwich.refs import Ref

from ...errors import GtError, PublishError, printable
from .address import is_path, parts_of_url
from .base import CONNECT, PASSING, WRITE, CommitRefusedError, MovedError, PassingError, Right, seconds

SILENCE = 180  # seconds; a server may think about a push before it says a word
TIMEOUT: Any = urllib3.Timeout(connect=CONNECT, read=SILENCE)  # as dulwich hands it on
T = TypeVar("T")
USER = "x-access-token"  # GitHub's name for whoever has a token; other servers look at the token alone
_CUT = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)  # of a connection that there was
_UNANSWERED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
_LASTING = ("permission denied", "does not appear to be a git", "not found", "access denied", "verification failed")
_UNREACHED = ("could not resolve", "connection refused", "timed out", "no route", "unreachable")  # as ssh says it


class AnsweredError(Exception):
    """An HTTP server answered with an error."""

    def __init__(self, status: int, pause: float | None) -> None:
        super().__init__(f"the server answered {status}")
        self.status, self.pause = status, pause


class TooMuchError(Exception):
    """A server sends more than was asked for."""


class _Protocol(Protocol):
    """Takes a server's error packet for one wherever it comes, as git does; dulwich reads over it in protocol 2."""

    def read_pkt_line(self) -> bytes | None:
        line = super().read_pkt_line()
        if line is not None and line.startswith(b"ERR "):
            raise GitProtocolError(printable(line.removeprefix(b"ERR ").decode(errors="replace").strip()))
        return line


dulwich.client.Protocol = _Protocol  # type: ignore[attr-defined]  # its clients make their own


# All trying again is the publisher's: urllib3 would do it unseen, and sleep for as long as a server says.
_ONCE = urllib3.Retry(0, redirect=5, respect_retry_after_header=False, raise_on_status=False)


class _Answers(AuthCallbackPoolManager):
    """Raises AnsweredError where dulwich would give a text that holds the status."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        answer = super().request(method, url, *args, retries=_ONCE, **options)
        if answer.status >= 400:  # noqa: PLR2004  # HTTP's errors
            answer.close()
            raise AnsweredError(answer.status, seconds(answer.headers.get("Retry-After")))
        return answer


def connect(url: str, token: str, user: str, right: Right = WRITE) -> tuple[GitClient, str]:
    """A client and the path that it is to ask for. Raises PublishError for an address that cannot be one."""
    if is_path(url):
        if not Path(url).is_dir():
            raise PublishError(f"{url} is no directory; a server's address begins like https:// or ssh://")
        return SubprocessGitClient(), str(Path(url).resolve())  # git itself: it runs the repository's hooks
    parts = parts_of_url(url, right)
    config = StackedConfig.default()
    try:
        if parts.scheme not in ("http", "https"):
            client, path = get_transport_and_path(url, config)
            if isinstance(client, TCPGitClient):
                client._connect = _timed(client._connect)  # type: ignore[method-assign]  # it has no time limit
            return client, path
        manager: Any = default_urllib3_manager(config, base_url=url, timeout=TIMEOUT)
        pool: Any = _Answers(manager)
        name, password = (user or USER, token) if token else (None, None)
        return get_transport_and_path(url, config, username=name, password=password, pool_manager=pool)
    except ValueError as error:
        raise PublishError(f"{url} is no address of a git repository ({error})") from None


def _timed(connect: Callable[..., T]) -> Callable[..., T]:
    """With a time limit for the socket that is made: else a server that says nothing is waited for without end."""

    def connected(*arguments: Any, **options: Any) -> T:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(SILENCE)
        try:
            return connect(*arguments, **options)
        finally:
            socket.setdefaulttimeout(before)

    return connected


def fetch_objects(
    client: GitClient,
    path: str,
    store: PackCapableObjectStore,
    ids: Sequence[ObjectID],
    depth: int | None = None,
    filter_spec: bytes | None = None,
    limit: int | None = None,
) -> None:
    """Ask for objects by id, as if nothing were here; `depth` counts commits, `filter_spec` is git's, `limit` bytes.

    Raises TooMuchError where more than that comes: a server that cannot filter sends all there is.
    """
    size = 0

    def wants(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001
        return list(ids)

    def keep(data: bytes) -> int:
        nonlocal size
        size += len(data)
        if limit is not None and size > limit:
            raise TooMuchError
        return int(file.write(data))

    file, finish, abort = store.add_pack()
    try:
        client.fetch_pack(path, wants, _NothingHere(), keep, depth=depth, filter_spec=filter_spec)
    except BaseException:
        abort()
        raise
    finish()


class _NothingHere:
    """A graph walker of a repository without commits."""

    shallow: frozenset[ObjectID] = frozenset()

    def __next__(self) -> None:
        return None

    def ack(self, sha: ObjectID) -> None:
        """Nothing was offered."""

    def nak(self) -> None:
        """Nothing was offered."""


@contextmanager
def translated(url: str, right: Right = WRITE) -> Iterator[None]:
    """What a server or the way to it says, as PassingError or PublishError. No message holds a token."""
    try:
        yield
    except AnsweredError as error:
        if error.status in PASSING:
            raise PassingError(f"{url}: {error}", error.pause) from error
        raise CommitRefusedError(_refused(url, error.status, right)) from error
    except NotGitRepository:
        raise CommitRefusedError(_refused(url, 404, right)) from None
    except (GitProtocolError, SendPackError) as error:
        raise _meaning(url, error, right) from error
    except (ConnectionError, TimeoutError, socket.gaierror) as error:
        raise PassingError(f"{url}: {error.strerror or error}", reached=isinstance(error, _CUT)) from error
    except FileNotFoundError as error:
        raise PublishError(f"{url}: {error.strerror}; is git (for a path) or ssh installed here?") from error
    except OSError as error:
        raise PublishError(f"{url}: {error.strerror or error}") from error
    except (GtError, MovedError, PassingError, TooMuchError):
        raise
    except Exception as error:  # dulwich checks little of what it reads: an answer of another kind raises anything
        raise PassingError(f"{url}: the answer is none of a git server; is there a proxy on the way?") from error


def _meaning(url: str, error: GitProtocolError | SendPackError, right: Right) -> PassingError | PublishError:
    """What an error of the git protocol is to us; SendPackError is one of a push."""
    text = (str(error).strip().splitlines() or ["the connection was cut"])[-1]
    if isinstance(error, SendPackError):
        return PassingError(f"{url}: the server could not take the files: {text}")
    if isinstance(error, HangupException):
        if any(sign in str(error).lower() for sign in _LASTING):
            return PublishError(f"{url}: {text}; check the address and the right to {right.word}")
        return PassingError(f"{url}: {text}", reached=not any(sign in str(error).lower() for sign in _UNREACHED))
    if not isinstance(error.__cause__, urllib3.exceptions.HTTPError):
        return PublishError(f"{url}: {text}")
    reason = getattr(error.__cause__, "reason", None) or error.__cause__
    if isinstance(reason, urllib3.exceptions.SSLError):
        return PublishError(f"{url}: its certificate is not trusted here: {reason}")
    return PassingError(f"{url}: {_plain(reason)}", reached=not isinstance(reason, _UNANSWERED))


def _plain(reason: Exception) -> str:
    """Without the connection object that urllib3 begins its messages with."""
    return re.sub(r"^<?\w*Connection\w*\([^)]*\)>?: ", "", str(reason))


def _refused(url: str, status: int, right: Right) -> str:
    advice = {
        401: f"the token is missing or wrong; set {right.variable} to one that may {right.word} there",
        403: f"the token may not {right.word} there; set {right.variable} to one that may",
        404: f"there is no such repository, or the token may not see it; check the address and {right.variable}",
    }
    return f"{url}: the server answered {status}: {advice.get(status, 'check the address')}"
