"""The result store: each finished case, whole, in a folder named by its key. What is there is never made again."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import environment
from .contract import Case, Fetched, Job
from .environment import digest, runner_digest
from .tasks import Options

RECORD = "record.json"
ABANDONED = 86_400  # seconds after which nobody works on a half-made result any more


def case_key(case: Case, fetched: Fetched, job: Job) -> str:
    """Digest of everything that decides a result: case, weights, inputs, code, runner, environment and GPU.

    The environment of a job in a container is its image; the fetch phase then runs in another one.
    """
    image = job.get("image", {})
    return digest(
        {
            "case": {name: value for name, value in case.items() if name != "base"},
            "weights": {name: repository["identity"] for name, repository in fetched["repositories"].items()},
            "code": fetched["code_identity"],
            "inputs": [file["sha256"] for file in fetched["inputs"]],
            "runner": runner_digest(),
            "environment": image.get("digest") or image.get("recipe") or environment.of(case).digest,
            "gpu": [job["gpu_kind"], job.get("card")],
        }
    )


class Store:
    """A folder of finished cases. Several processes may write to it: a case appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def opened(cls, run: Options) -> Store:
        """The store of a run, swept, with the earlier artifact that the run names taken in."""
        store = cls(Path(run["store"]))
        store.sweep()
        if run["previous"] and not run["fresh"]:
            store.adopt(Path(run["previous"]))
        return store

    def path(self, key: str) -> Path:
        """Where the case of this key lies once it is finished."""
        return self.folder / key.removeprefix("sha256:")

    def find(self, key: str) -> dict[str, Any] | None:
        """The record of a finished case, or None; a folder whose files are not what its record says counts as none."""
        folder = self.path(key)
        try:
            record: dict[str, Any] = json.loads((folder / RECORD).read_text())
            return record if _intact(record, folder) else None
        except (OSError, ValueError):  # another run may replace it at this moment
            return None

    @contextlib.contextmanager
    def begun(self) -> Iterator[Path]:
        """A fresh folder for the files of a case that is being made; it is removed where that fails."""
        folder = self._partial()
        folder.mkdir()
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def finish(self, folder: Path, record: Mapping[str, Any]) -> Path:
        """Give a begun folder its key; replaces an earlier result of the same key (a fresh run is the newer truth)."""
        (folder / RECORD).write_text(json.dumps(record, indent=1))
        final = self.path(record["key"])
        while True:
            try:
                folder.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self._remove(final)
            else:
                return final

    def _remove(self, final: Path) -> None:
        """Rename first, so that no reader sees half a result; another process may do the same at once."""
        away = self._partial()
        with contextlib.suppress(FileNotFoundError):
            final.rename(away)
            shutil.rmtree(away)

    def _partial(self) -> Path:
        return self.folder / f".{uuid.uuid4().hex}.partial"

    def sweep(self) -> None:
        """Remove what killed processes left half-made; a young folder may be another run's work."""
        for folder in self.folder.glob(".*.partial"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)

    def adopt(self, artifact: Path) -> None:
        """Take the finished cases of another artifact over, if their files are still what their records say.

        Of two results of one key the one that was made later stays: a fresh run is the newer truth.
        """
        manifest: Mapping[str, Any] = json.loads((artifact / "manifest.json").read_text())
        for record in manifest["cases"].values():
            if record["status"] == "ok" and _later(record, self.find(record["key"])) and _intact(record, artifact):
                with self.begun() as folder:
                    _copy(record, artifact, folder)
                    self.finish(folder, record)

    def deliver(self, record: Mapping[str, Any], folder: Path) -> None:
        """Copy the files of a finished case into a folder that leaves the machine."""
        folder.mkdir(parents=True, exist_ok=True)
        _copy(record, self.path(record["key"]), folder)


def _copy(record: Mapping[str, Any], source: Path, target: Path) -> None:
    for file in record["files"]:
        shutil.copyfile(source / file["name"], target / file["name"])


def _later(record: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    return other is None or bool(record["process"]["started"] > other["process"]["started"])


def _intact(record: Mapping[str, Any], folder: Path) -> bool:
    def same(file: Mapping[str, Any]) -> bool:
        path = folder / file["name"]
        return path.is_file() and bool(hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"])

    return bool(record.get("files")) and all(same(file) for file in record["files"])
