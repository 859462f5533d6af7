"""A case that was made twice: which of its files came out otherwise, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gt_pictures.errors import PictureError
from gt_pictures.reading import read


def verification(record: Mapping[str, Any], first: Path, second: Path) -> dict[str, Any]:
    """The manifest's `verification`; `record` is the second run's, the folders hold the files of each."""
    return {"process": record["process"], "reason": None, "differences": list(_differences(record, first, second))}


def _differences(record: Mapping[str, Any], first: Path, second: Path) -> Iterator[dict[str, Any]]:
    for file in record["files"]:
        one, other = first / file["name"], second / file["name"]
        if not one.is_file() or one.read_bytes() != other.read_bytes():
            yield {"name": file["name"], **_size_of_difference(one, other)}


def _size_of_difference(one: Path, other: Path) -> dict[str, Any]:
    """In values of 0..255; None where the two cannot be subtracted."""
    unknown = {"max_abs": None, "mean_abs": None}
    try:
        first, second = (np.asarray(read(path).image, np.int16) for path in (one, other))
    except PictureError:
        return unknown
    if first.shape != second.shape:
        return unknown
    difference = np.abs(first - second)
    return {"max_abs": int(difference.max()), "mean_abs": round(float(difference.mean()), 6)}
