"""Fetches all that a case needs onto this machine, verified. No other phase has the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from ..contract import Case, Fetched
from ..errors import FetchError, os_reason
from . import weights
from .code import fetch_code
from .folders import Folders
from .inputs import fetch_inputs, fetch_latents
from .progress import Progress, silent
from .serving_checkout import serving_checkout


def identify(case: Case, folders: Folders, progress: Progress = silent) -> Fetched:
    """What a result's key is made of: commits and digests. Inputs and code are fetched, weights of the hub are not.

    A hub repository has path "", digest "" and 0 bytes; a local folder is hashed the first time that it is seen.
    Raises FetchError.
    """
    with _disk_errors_named():
        folders.check()
        code, code_identity = serving_checkout(case, folders) if "engine" in case else fetch_code(case, folders)
        return {
            "repositories": weights.identify(case, folders, progress),
            "code": code,
            "code_identity": code_identity,
            "inputs": fetch_inputs(case, folders, progress),
            **fetch_latents(case, folders, progress),
        }


def fetch(case: Case, folders: Folders, progress: Progress, identities: Fetched | None = None) -> Fetched:
    """Everything that a case needs, verified; `progress` is told (what, bytes done, bytes in all), from any thread.

    `identities` is what `identify` gave for this case: its commits are fetched, so that a branch that moves in between
    cannot part the weights from the key. Needs no network for what is there and whole at a known commit.
    Raises FetchError.
    """
    files = identities or identify(case, folders, progress)
    with _disk_errors_named():
        return {**files, "repositories": weights.fetch(case, folders, progress, files["repositories"])}


@contextmanager
def _disk_errors_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = PurePath(error.filename or "").name
        raise FetchError(
            f"cannot read or write {name or 'a file'} ({os_reason(error)}); check the room and the rights "
            "of the cache, of HF_HOME and of the --models folder"
        ) from error
