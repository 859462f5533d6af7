"""Makes manifests for tests that do not run anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ci.artifact.manifest import Manifest
from ci.artifact.records import CaseRecord, FileRecord, HostRecord, RunRecord, Selected, Tool

DIGEST = "sha256:" + "0" * 64


def content(name: str) -> bytes:
    """The bytes that the file of a case holds in these tests."""
    return f"image of {name}".encode()


def file_record(name: str) -> FileRecord:
    """The record of a case's one file."""
    data = content(name)
    return FileRecord(
        name=f"{name}_1gpu.png", size=len(data), sha256=hashlib.sha256(data).hexdigest(), width=1, height=1
    )


def record(name: str, status: str) -> CaseRecord:
    """The record of a case."""
    ok = status == "ok"
    return CaseRecord.model_validate(
        {
            "status": status,
            "reason": None if ok else "broken on purpose",
            "source": "smoke",
            "case": {"id": name},
            "key": DIGEST if ok else None,
            "files": [file_record(name)] if ok else [],
        }
    )


def manifest(statuses: dict[str, str]) -> Manifest:
    """The manifest of a run with these outcomes."""
    run = RunRecord(
        tool=Tool(version="0", commit=None, dirty=False),
        selection=Selected(mode="smoke", source_group="smoke", case_ids=list(statuses), on=None),
        host=HostRecord(gpu="cpu", gpu_name=None, engine=None),
        started="2026-01-01T00:00:00+00:00",
        ended="2026-01-01T00:00:01+00:00",
        made=[],
    )
    return Manifest(run=run, cases={name: record(name, status) for name, status in statuses.items()})


def results(folder: Path, *names: str) -> dict[str, Path]:
    """Folders with the files of finished cases, as the result store gives them."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / file_record(name).name).write_bytes(content(name))
    return {name: folder / name for name in names}
