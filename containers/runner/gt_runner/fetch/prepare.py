"""The fetch phase of a job, in a process of its own: the only one with the network and the token."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..contract import Case, Fetched
from ..errors import RunnerError
from ..events import Emit
from ..sources import refusals
from ..store import Store, case_key
from ..tasks import FetchTask
from . import case_files, retry
from .folders import Folders
from .progress import Progress
from .read_ahead import half_of_memory, read_ahead, size_of


def prepare(task: FetchTask, emit: Emit, may_read: Callable[[int], int] = half_of_memory) -> None:
    """Name each case's key, give back what the store has, fetch what the others need, and read it ahead.

    Events: `reused` (with the record), `failed` or `missing` for each case; then `ready` or `failed` for each of the
    missing ones; last `read_ahead`. `may_read` gets the bytes of the weights, and says how many may be read.
    """
    retry.report_pauses(lambda text: emit({"event": "retry", "text": text}))
    with _told(emit):
        _prepare(task, emit, may_read)


def _prepare(task: FetchTask, emit: Emit, may_read: Callable[[int], int]) -> None:
    folders = Folders.of(task)
    store = Store(Path(task["store"]))
    rest: list[tuple[Case, str, Fetched]] = []
    for case in task["job"]["cases"]:
        try:
            refusals.check(case, task["job"]["device"])
            identities = case_files.identify(case, folders, _progress(case, emit))
            key = case_key(case, identities, task["job"])
        except RunnerError as error:
            _failed(case, error, emit)
            continue
        record = None if task["fresh"] else store.find(key)
        if record is None or record["process"]["started"] < task.get("since", ""):
            emit({"event": "missing", "case": case["id"]})
            rest.append((case, key, identities))
        else:
            emit({"event": "reused", "case": case["id"], "record": record})
    if task.get("look"):
        return
    ready = [fetched for each in rest if (fetched := _fetch(*each, folders, emit)) is not None]
    if not ready:
        return
    limit = may_read(size_of(ready))
    start = time.perf_counter()
    size = read_ahead(ready, limit)
    seconds = round(time.perf_counter() - start, 3)
    emit({"event": "read_ahead", "job": task["job"]["name"], "bytes": size, "seconds": seconds})


@contextmanager
def _told(emit: Emit) -> Iterator[None]:
    """While open, what the modules here warn of is told to people as it happens: their log is for nobody's eyes."""

    class Notices(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            emit({"event": "notice", "text": record.getMessage()})

    handler, logger = Notices(logging.WARNING), logging.getLogger(__package__)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _fetch(case: Case, key: str, identities: Fetched, folders: Folders, emit: Emit) -> Fetched | None:
    start = time.perf_counter()
    try:
        fetched = case_files.fetch(case, folders, _progress(case, emit), identities)
    except RunnerError as error:
        _failed(case, error, emit)
        return None
    seconds = round(time.perf_counter() - start, 3)
    emit({"event": "ready", "case": case["id"], "key": key, "fetched": fetched, "seconds": seconds})
    return fetched


def _progress(case: Case, emit: Emit) -> Progress:
    return lambda what, done, total: emit(
        {"event": "fetching", "case": case["id"], "what": what, "done": done, "total": total}
    )


def _failed(case: Case, error: RunnerError, emit: Emit) -> None:
    emit({"event": "failed", "case": case["id"], "phase": "fetch", "reason": str(error)})
