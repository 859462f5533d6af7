"""What is wrong with an artifact: cases that failed or are missing, files that are not the manifest's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from .manifest import Manifest, read


def verdict(artifact: Path) -> list[str]:
    """Why an artifact is not whole, one line each; empty if every selected case is there and unchanged."""
    return list(_verdict(read(artifact), artifact))


def _verdict(manifest: Manifest, artifact: Path) -> Iterator[str]:
    for name in manifest.run.selection.case_ids:
        record = manifest.cases.get(name)
        if record is None:
            yield f"{name}: missing: it was selected, and the manifest does not hold it"
        elif record.status != "ok":
            yield f"{name}: {record.status}: {record.reason}"
        elif record.reproducible is False:
            yield f"{name}: not reproducible: made twice, it did not come out the same"
    for file in manifest.files.values():
        path = artifact / file.name
        if not path.is_file():
            yield f"{file.name}: missing: the manifest names it"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            yield f"{file.name}: changed: its sha256 is not the manifest's"
