"""The promises of a result's key: another card is another result."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gt_runner.contract import Case, Fetched, Job
from gt_runner.errors import SourceError
from gt_runner.store import Store, case_key
from gt_runner.work import record

CASE = cast("Case", {"id": "a", "source": "smoke", "model": {}, "base": "/x"})
FETCHED = cast("Fetched", {"repositories": {}, "code": None, "code_identity": None, "inputs": []})
NAME, OTHER = "NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe"
SXM, PCIE = {"name": NAME, "multiprocessors": 132}, {"name": OTHER, "multiprocessors": 114}


def job(kind: str, card: dict[str, Any] | None) -> Job:
    return cast("Job", {"gpu_kind": kind, "device": "cuda", **({} if card is None else {"card": card})})


def test_the_kind_the_cards_name_and_its_multiprocessors_are_part_of_the_key() -> None:
    jobs = [
        job("h100", SXM),
        job("h200", SXM),
        job("h100", PCIE),
        job("h100", {**SXM, "multiprocessors": 114}),
        job("cpu", None),
    ]
    keys = [case_key(CASE, FETCHED, each) for each in jobs]
    assert len(set(keys)) == len(jobs)
    assert case_key(CASE, FETCHED, job("h100", dict(SXM))) == keys[0]


def answering(name: str, count: int | None) -> Callable[[], tuple[str | None, int | None, int | None]]:
    return lambda: (name, 80, count)


def test_a_case_that_ran_on_another_card_than_its_key_names_fails() -> None:
    for counted in (132, None):  # nvidia-smi does not count
        assert record.gpu(job("h100", SXM), answering(NAME, counted))["multiprocessors"] == 132
    for name, count in ((OTHER, 132), (NAME, 114)):
        with pytest.raises(SourceError, match="planned for NVIDIA H100 80GB HBM3 with 132 multiprocessors"):
            record.gpu(job("h100", SXM), answering(name, count))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_result_that_is_not_finished_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    store = Store(tmp_path)

    def make() -> None:
        with store.begun() as folder:
            (folder / "half.png").write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        make()
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_that_the_disk_has_no_room_for_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, artifact = Store(tmp_path / "store"), tmp_path / "gt"
    artifact.mkdir()
    (artifact / "a.png").write_bytes(b"a")
    files = [{"name": "a.png", "sha256": hashlib.sha256(b"a").hexdigest()}]
    case = {"status": "ok", "key": "sha256:a", "files": files, "process": {"started": "2026"}}
    (artifact / "manifest.json").write_text(json.dumps({"cases": {"a": case}}))

    def copied(_source: Path, target: Path) -> None:
        target.write_bytes(b"")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", copied)
        with pytest.raises(OSError, match="No space left"):
            store.adopt(artifact)
    assert list(store.folder.iterdir()) == []
    store.adopt(artifact)
    assert store.find("sha256:a") == case


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_a_result_that_another_run_replaces_while_it_is_looked_at_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    store = Store(tmp_path)
    with store.begun() as folder:
        (folder / "a.png").write_bytes(b"a")
        file = {"name": "a.png", "sha256": hashlib.sha256(b"a").hexdigest()}
        record = {"key": "sha256:a", "files": [file]}
        store.finish(folder, record)
    assert store.find("sha256:a") == record

    def read_bytes(_: Path) -> bytes:
        raise error

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert store.find("sha256:a") is None
