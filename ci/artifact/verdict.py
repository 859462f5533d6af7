"""What is wrong with an artifact: cases that failed or are missing, files that are not the manifest's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import printable
from .manifest import Manifest, folder_of, read
from .records import CaseRecord, FileRecord


def verdict(artifact: Path) -> list[str]:
    """Why an artifact is not whole, one line each; empty if every selected case is there and unchanged."""
    manifest = read(artifact)
    artifact = folder_of(artifact)
    return [*bad_lines(manifest), *spoilt(manifest, artifact)]


def bad(manifest: Manifest) -> dict[str, str]:
    """Why a case is not as it should be, for each case that is not: one line of printable text."""
    run = manifest.run
    names = dict.fromkeys([*run.selection.case_ids, *manifest.cases, *run.kept])
    reasons = {name: run.kept.get(name) or _reason(manifest.cases.get(name)) for name in names}
    return {name: printable(reason) for name, reason in reasons.items() if reason is not None}


def bad_lines(manifest: Manifest) -> list[str]:
    """The same, a line for each of these cases."""
    return [f"{name}: {reason}" for name, reason in bad(manifest).items()]


def spoilt(manifest: Manifest, artifact: Path) -> Iterator[str]:
    """A line for each file that is not the one that the manifest names."""
    for file in manifest.files.values():
        if not (artifact / file.name).is_file():
            yield f"{file.name}: missing: the manifest names it"
        elif not whole(artifact, file):
            yield f"{file.name}: changed: its sha256 is not the manifest's"


def whole(artifact: Path, file: FileRecord) -> bool:
    """Whether a file is there, and is the one that the manifest names."""
    return has_digest(artifact / file.name, file.sha256)


def has_digest(path: Path, sha256: str) -> bool:
    """Whether a file is there, and has this digest."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _reason(record: CaseRecord | None) -> str | None:
    if record is None:
        return "missing: it was selected, and the manifest does not hold it"
    if record.status != "ok":
        return f"{record.status}: {record.reason}"
    if record.reproducible is not False:
        return None
    verification = record.verification
    differences = verification.differences if verification is not None else []
    files = [
        f"{each.name} differs" + ("" if each.max_abs is None else f" by {each.max_abs} at most") for each in differences
    ]
    why = "; ".join(files) or (verification and verification.reason) or "made twice, it did not come out the same"
    return f"not reproducible: {why}"
