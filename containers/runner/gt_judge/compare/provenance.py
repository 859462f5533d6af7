"""What differs between the records of a case in two manifests: the arguments, and what it ran in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..records import CaseRecord

ARGUMENTS = ("passed", "dropped", "pipeline", "seed", "generator_device", "dtype", "inputs", "weights", "code")
ENVIRONMENT = ("gpu", "image", "runner", "environment", "versions", "isolation", "global_rng_used")
OF_THE_CASE = ("model", "loras", "runtime", "conditioning", "output")

Change = dict[str, Any]  # key, published, new


def changes(published: CaseRecord, new: CaseRecord) -> dict[str, list[Change]]:
    """The arguments and the fields of the environment that differ; absent is null."""
    arguments = [*_differing(published, new, ARGUMENTS), *_differing(published["case"], new["case"], OF_THE_CASE)]
    return {"arguments": arguments, "environment": _differing(published, new, ENVIRONMENT)}


def _differing(published: Mapping[str, Any], new: Mapping[str, Any], fields: tuple[str, ...]) -> list[Change]:
    before, after = (dict(_flat({field: record.get(field) for field in fields})) for record in (published, new))
    keys = [*before, *(key for key in after if key not in before)]
    return [
        {"key": key, "published": before.get(key), "new": after.get(key)}
        for key in keys
        if before.get(key) != after.get(key)
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf with its path, as in `passed.width`, `inputs.0.sha256`."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
