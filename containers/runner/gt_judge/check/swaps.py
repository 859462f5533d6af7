"""Whether an image is that of another case: each image of a set against all published ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..planes import Plane
from .likeness import gain
from .placement import Placement

RULE = "swapped with another file"


def find(new: Mapping[str, Plane], published: Mapping[str, Plane]) -> dict[str, Placement]:
    """For each new image that has a published one: which other published image it is most like, and how much."""
    names = [name for name in new if name in published]
    if not names or len(published) < 2:  # noqa: PLR2004  # nothing to be swapped with
        return {}
    place = {name: column for column, name in enumerate(published)}
    likeness = _unit([new[name] for name in names]) @ _unit(list(published.values())).T
    rows = dict(zip(names, likeness, strict=True))
    return {name: _placement(name, rows, place) for name in names}


def _placement(name: str, rows: Mapping[str, Plane], place: Mapping[str, int]) -> Placement:
    own = rows[name][place[name]]
    others = {other: float(rows[name][column]) for other, column in place.items() if other != name}
    best = max(others, key=lambda other: others[other])
    metrics = {"own_correlation": float(own), "swap_correlation": others[best]}
    if best in rows:
        before = (own + rows[best][place[best]]) / 2
        after = (rows[name][place[best]] + rows[best][place[name]]) / 2
        metrics["exchange_gain"] = gain(float(before), float(after))
    return Placement(metrics, {RULE: f"(it looks like {best})"})


def _unit(planes: list[Plane]) -> Plane:
    """Each plane as a row of mean 0 and length 1, so that products of rows are correlations."""
    rows = np.stack([plane.ravel() for plane in planes])
    rows = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)
