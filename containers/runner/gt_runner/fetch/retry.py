"""Tries again, with growing pauses, what may pass by itself; everything else is an error at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

import httpx2
import stamina
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # re-exported without saying so

from ..errors import FetchError, os_reason

TIMEOUT_S = 30.0  # without an answer or a byte
ATTEMPTS = 5
PATIENCE_S = 300.0  # a server that asks for a longer pause is not waited for: the user decides

_subject = ContextVar("_subject", default="the download")
T = TypeVar("T")

_PASSING = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, ConnectionError, TimeoutError)
_PASSING_STATUS = frozenset({408, 425, 429, *range(500, 600)})


class UnreachableError(FetchError):
    """The server gave no usable answer, however often it was asked."""


def report_pauses(report: Callable[[str], None]) -> None:
    """Have each pause before another try reported, in words for people."""

    def on_retry(details: stamina.instrumentation.RetryDetails) -> None:
        error = details.caused_by
        report(f"{_subject.get()}: {reason(error)}; trying again in {details.wait_for:.0f} s")

    stamina.instrumentation.set_on_retry_hooks([on_retry])


report_pauses(lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201  # unless somebody reads events


def persistently(action: Callable[[], T], subject: str = "the download", limit_s: float | None = None) -> T:
    """What `action` gives, tried up to ATTEMPTS times, the last try begun within some `limit_s` seconds.

    Raises whatever the last try raised. Each pause is reported, with `subject` as what it is about.
    """
    _subject.set(subject)
    # stamina brings jitter, caps and pauses that the server chose, which hand-made loops get wrong, and a test mode.
    for attempt in stamina.retry_context(
        _pause, attempts=ATTEMPTS, timeout=limit_s, wait_initial=1.0, wait_max=30.0, wait_jitter=1.0
    ):
        with attempt:
            return action()
    raise AssertionError("stamina gives a result or raises")


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from: huggingface_hub wraps what happened in LocalEntryNotFoundError."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def response_of(error: BaseException) -> httpx2.Response | None:
    """The server's answer, where an answer is what went wrong."""
    answers = (getattr(link, "response", None) for link in chain(error))
    return next((answer for answer in answers if answer is not None), None)


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later: no answer, a cut, 429, 5xx."""
    answer = response_of(error)
    if answer is not None:
        return answer.status_code in _PASSING_STATUS
    return any(_passes(link) for link in chain(error))


def disk_error(error: BaseException) -> OSError | None:
    """What went wrong on this machine's disk, where that is what went wrong; an error of the network has a type too."""
    links = list(chain(error))
    if any(isinstance(link, (httpx2.HTTPError, ConnectionError, TimeoutError)) for link in links):
        return None
    return next((link for link in links if isinstance(link, OSError) and link.errno is not None), None)


def reason(error: BaseException) -> str:
    """What happened, in one line: the server's status where there is one, else the first error's text."""
    answer = response_of(error)
    if answer is not None:
        return f"the server answered {answer.status_code} {answer.reason_phrase}".rstrip()
    first = list(chain(error))[-1]
    text = os_reason(first) if isinstance(first, OSError) else str(first)
    return (text.strip() or type(first).__name__).splitlines()[0]


def _passes(error: BaseException) -> bool:
    if isinstance(error, OfflineModeIsEnabled):  # a ConnectionError by type, a setting by meaning
        return False
    # Two errors have no type of their own: hf-xet reports network trouble as RuntimeError, and a download of the wrong
    # length is an OSError without a number.
    bare = type(error) is RuntimeError or (type(error) is OSError and error.errno is None)
    return bare or isinstance(error, _PASSING)


def _pause(error: Exception) -> bool | float:
    """For stamina: seconds to wait where the server names them, True for its own back-off, False to give up."""
    answer = response_of(error)
    pause = None if answer is None else _servers_pause(answer)
    if not may_pass(error) or pause is None:
        return may_pass(error)
    return pause if pause <= PATIENCE_S else False


def _servers_pause(answer: httpx2.Response) -> float | None:
    """The seconds that a busy server names: any server's Retry-After, or the hub's own rate limit."""
    seconds = answer.headers.get("Retry-After", "")
    if seconds.isdigit():
        return float(seconds)
    limit = parse_ratelimit_headers(answer.headers)
    return float(limit.reset_in_seconds + 1) if limit is not None and limit.remaining == 0 else None
