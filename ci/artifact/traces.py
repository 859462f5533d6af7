"""The folder of traces: a file for each case, and the index that names them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from rich.filesize import decimal

from ..errors import ArtifactError, reading, writing
from ..words import are, counted
from . import manifest as manifests
from .folder import alone, check_writable
from .manifest import Manifest

NAME: Final = "trace.json"
SCHEMA_VERSION = 1  # of `gt_trace`


def begin(folder: Path, cases: Iterable[str]) -> None:
    """Forget the earlier traces of these cases, so that none stays where one fails now.

    Raises ArtifactError for an artifact's folder, and where traces cannot be read or written.
    """
    if (folder / manifests.NAME).exists():
        raise ArtifactError(f"{folder} holds an artifact, which traces are no part of; choose another one with -o")
    check_writable(folder)
    if not (folder / NAME).exists():
        return
    with writing(folder, ArtifactError), alone(folder):  # other runs may add to the index
        index = read(folder)
        for case in set(cases) & index["cases"].keys():
            (folder / index["cases"].pop(case)["file"]).unlink(missing_ok=True)
        (folder / NAME).write_text(text(index), encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The index of a folder; an empty one where there is none yet.

    Raises ArtifactError where it is none, or names a file that lies elsewhere.
    """
    if not (folder / NAME).exists():
        return {"cases": {}}
    with reading(folder / NAME, ArtifactError):
        index: Any = json.loads((folder / NAME).read_text(encoding="utf-8"))
    try:
        names = [entry["file"] for entry in index["cases"].values()]
        is_sound = all(Path(name).name == name for name in names)
    except (AttributeError, KeyError, TypeError):
        is_sound = False
    if not is_sound:
        raise ArtifactError(f"{folder / NAME} is no index of traces; choose another folder with -o")
    return dict(index)


def merged(indexes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One index of several folders, whose files are put into one."""
    whole: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "cases": {}}
    for index in indexes:
        whole = {**index, "cases": whole["cases"] | index["cases"]}
    return whole


def text(index: Mapping[str, Any]) -> str:
    """The index as a file has it."""
    return json.dumps(index, indent=2, allow_nan=False) + "\n"


def traced(index: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """What an index says of the cases of a run, but for those that failed."""
    return {name: index["cases"][name] for name, record in manifest.cases.items() if record.status == "ok"}


def count(folder: Path, cases: Mapping[str, Any], of: int) -> str:
    """How many cases of a run are traced, where, and how many bytes they have."""
    total = sum((folder / entry["file"]).stat().st_size for entry in cases.values())
    return f"{counted(len(cases), 'case', of=of)} {are(len(cases))} traced in {folder}, {decimal(total)}"
