"""The input images of a case, in a cache whose files are named by the sha256 of their content."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypedDict
from urllib.parse import SplitResult, unquote, urlsplit

import httpx2

from gt_pictures.errors import PictureError
from gt_pictures.reading import read

from ..contract import Case, FetchedInput, Input
from ..errors import FetchError, InputError
from .alone import alone
from .folders import Folders
from .index import replace_text, sha256_of
from .progress import Progress
from .retry import TIMEOUT_S, disk_error, may_pass, persistently, reason

MAX_BYTES = 64 * 1024 * 1024  # images are a few MB: what is larger is another file, and would only fill the disk

FIRST_NOISE = ("latents.0", "noise")  # the tensors of a trace that a case may start from

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_HEADERS = {"User-Agent": "diffusion-gt", "Accept-Encoding": "identity"}  # some hosts refuse a library's own name

Described = Callable[[Path, str, str], FetchedInput]  # looks at a file by path, sha256 and name; raises InputError

logger = logging.getLogger(__name__)


def fetch_inputs(case: Case, folders: Folders, progress: Progress) -> list[FetchedInput]:
    """The inputs of a case, in its order, each with the sha256 of its bytes.

    Raises InputError where they are not the images that the case names, else FetchError where one cannot be had; with a
    line for each.
    """
    files, errors = [], []
    for entry in case.get("inputs", []):
        try:
            files.append(_fetch(entry, Path(case["base"]), folders, progress))
        except FetchError as error:
            errors.append(error)
    if errors:
        kind = InputError if all(isinstance(error, InputError) for error in errors) else FetchError
        raise kind("\n".join(map(str, errors)))
    return files


class Latents(TypedDict, total=False):
    """The part of what a case's files are that its first noise is."""

    latents: FetchedInput


def fetch_latents(case: Case, folders: Folders, progress: Progress) -> Latents:
    """The file of the first noise, where a case names one. Raises as `fetch_inputs`."""
    latents = case.get("latents")
    if latents is None:
        return {}
    file = latents.get("file")
    place: Input = {"path": file} if file else {"url": latents.get("url") or ""}
    entry: Input = {**place, "sha256": latents["sha256"]}
    return {"latents": _fetch(entry, Path(case["base"]), folders, progress, _tensors)}


def _fetch(
    entry: Input, base: Path, folders: Folders, progress: Progress, described: Described | None = None
) -> FetchedInput:
    pin, described = entry.get("sha256"), described or _described
    if "path" in entry:
        return _on_disk(_inside(base, entry["path"]), f"input {entry['path']}", pin, described)
    if "url" not in entry:
        raise InputError("an input has neither url nor path; give it one of them")
    url = _checked(entry["url"])
    name = unquote(PurePosixPath(url.path).name)
    stand_in = None if folders.local is None else folders.local / "inputs" / name
    if name not in ("", "..") and stand_in is not None and stand_in.is_file():
        return _on_disk(stand_in, f"inputs/{name} in the --models folder", pin, described)
    return _Cached(entry["url"], url, folders.cache / "inputs", described).get(pin, progress)


class _Cached:
    """One URL in the cache, and the lock under which one process at a time gets it."""

    def __init__(self, url: str, parts: SplitResult, folder: Path, described: Described) -> None:
        key = hashlib.sha256(url.encode()).hexdigest()
        self._url, self._described = url, described
        self._address = f"{parts.scheme}://{parts.hostname}{parts.path}"  # without password and signature
        suffix = PurePosixPath(parts.path).suffix.lower()
        self._suffix = suffix if _SUFFIX.fullmatch(suffix) else ""
        self._folder = folder
        self._urls = folder / "urls"
        self._record = self._urls / f"{key}.sha256"  # what an unpinned URL gave
        self._partial = self._urls / f"{key}.partial"

    def get(self, pin: str | None, progress: Progress) -> FetchedInput:
        """The file, from the cache if it is there and whole, else from the network."""
        self._urls.mkdir(parents=True, exist_ok=True)
        with alone(self._record.with_suffix(".lock"), f"fetching input {self._address}"):
            sha256 = pin or (self._record.read_text(encoding="utf-8").strip() if self._record.is_file() else None)
            return self._find(sha256) or self._download(pin, progress)

    def _find(self, sha256: str | None) -> FetchedInput | None:
        for path in self._folder.glob(f"{sha256}*") if sha256 else []:
            if sha256_of(path) == sha256:
                return self._described(path, sha256, f"input {self._address}")
            logger.warning("input %s was damaged in the cache; fetching it again", self._address)
            path.unlink(missing_ok=True)
        return None

    def _download(self, pin: str | None, progress: Progress) -> FetchedInput:
        try:
            sha256 = persistently(lambda: self._stream(lambda done, total: progress(self._address, done, total)))
            if pin not in (None, sha256):
                raise InputError(
                    f"{self._address} is not what was pinned: expected sha256 {pin}, found {sha256}; look at it, then "
                    "correct the case's pin or its url"
                )
            self._described(self._partial, sha256, f"input {self._address}")  # what cannot be used is not kept
            path = self._partial.replace(self._folder / f"{sha256}{self._suffix}")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            if disk_error(error) is not None:
                raise  # the caller says what may be wrong with a folder
            advice = " (tried again several times); try later" if may_pass(error) else "; check the case's url"
            raise FetchError(
                f"{self._address}: {reason(error)}{advice}, or put the file into inputs/ of the --models folder"
            ) from error
        finally:
            self._partial.unlink(missing_ok=True)
        replace_text(self._record, sha256)
        return self._described(path, sha256, f"input {self._address}")

    def _stream(self, done: Callable[[int, int], None]) -> str:
        """Writes the partial file from its start; returns its sha256."""
        sha256, count = hashlib.sha256(), 0
        with (
            httpx2.stream("GET", self._url, headers=_HEADERS, follow_redirects=True, timeout=TIMEOUT_S) as answer,
            self._partial.open("wb") as file,
        ):
            answer.raise_for_status()
            total = int(answer.headers.get("Content-Length", 0))
            for chunk in answer.iter_bytes():
                count += len(chunk)
                if max(count, total) > MAX_BYTES:
                    raise InputError(f"{self._address} is larger than {MAX_BYTES} bytes; no input is: check the url")
                sha256.update(chunk)
                file.write(chunk)
                done(count, total)
        return sha256.hexdigest()


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is no http or https address; give a file on this machine as `path`")
    return parts


def _inside(base: Path, path: str) -> Path:
    """The file that a case names. Raises InputError if it is outside of the case file's folder, or no file."""
    folder = base.resolve()
    try:
        file = (folder / path).resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise InputError(f"input {path} leads nowhere: {error}") from None
    if not file.is_relative_to(folder):
        raise InputError(f"input {path} is outside of the case file's folder; copy it into that folder")
    if not file.is_file():
        raise InputError(f"input {path} is not in the case file's folder; paths start from that folder")
    if file != Path(os.path.normpath(folder / path)):
        raise InputError(f"input {path} is a link or lies behind one; put a copy of the file there")
    return file


def _on_disk(path: Path, name: str, pin: str | None, described: Described) -> FetchedInput:
    sha256 = sha256_of(path)
    if pin not in (None, sha256):
        raise InputError(
            f"{name} is not what was pinned: expected sha256 {pin}, found {sha256}; restore the file or correct the pin"
        )
    return described(path, sha256, name)


def _described(path: Path, sha256: str, name: str) -> FetchedInput:
    try:
        notes = read(path, normalise=True).notes
    except PictureError as error:
        raise InputError(f"{name} is no image that is taken: {error}") from None
    record: FetchedInput = {"path": str(path.absolute()), "sha256": sha256, "bytes": path.stat().st_size}
    return {**record, "normalised": list(notes)} if notes else record


def _tensors(path: Path, sha256: str, name: str) -> FetchedInput:
    """A safetensors file with a first noise, by its header: this phase has no library for it."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (ValueError, OverflowError, MemoryError):
        header = None
    if not isinstance(header, dict):
        raise InputError(f"{name} is no safetensors file; gt trace --stages latents.0 writes one")
    names = sorted(set(header) - {"__metadata__"})
    if not set(names) & set(FIRST_NOISE):
        raise InputError(f"{name} holds no {' and no '.join(FIRST_NOISE)}, but {', '.join(names) or 'nothing'}")
    return {"path": str(path.absolute()), "sha256": sha256, "bytes": path.stat().st_size}
