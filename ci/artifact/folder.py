"""The result directory: images at its top and the manifest, nothing else of ours, nothing half-written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import ArtifactError
from . import manifest as manifests
from .manifest import Manifest


def write(directory: Path, manifest: Manifest, results: Mapping[str, Path]) -> list[str]:
    """Write an artifact; `results` holds the folder of each finished case's files.

    Files of an earlier run that no case has any more are removed. Returns a line for each of them, and for each file
    that is in no manifest and so is left where it is. Raises ArtifactError where the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        said = _clean(directory, manifest)
        for name, record in manifest.cases.items():
            for file in record.files:
                _replace(results[name] / file.name, directory / file.name)
        partial = directory / f".{manifests.NAME}.partial"
        partial.write_text(manifest.text(), encoding="utf-8")
        partial.replace(directory / manifests.NAME)
    except OSError as error:
        raise ArtifactError(f"{directory} cannot be written: {error.strerror}; choose another one with -o") from error
    return said


def _replace(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    os.replace(partial, target)  # noqa: PTH105  # Path.replace on one line reads as str.replace


def _clean(directory: Path, manifest: Manifest) -> list[str]:
    try:
        earlier = set(manifests.read(directory).files)
    except ArtifactError:
        earlier = set()
    said = []
    for path in sorted(directory.iterdir()):
        if path.name == manifests.NAME or path.name in manifest.files:
            continue
        if path.name in earlier:
            path.unlink()
            said.append(f"removed {path.name}: it is of an earlier run, and no case has it any more")
        else:
            said.append(f"left {path.name}: it is in no manifest")
    return said
