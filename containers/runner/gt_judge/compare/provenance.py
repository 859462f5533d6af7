"""What differs between the records of a case in two manifests: the arguments, and what it ran in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..artifact import Record

ARGUMENTS = ("passed", "dropped", "pipeline", "seed", "generator_device", "dtype", "inputs", "weights", "code")
ENVIRONMENT = ("gpu", "image", "runner", "environment", "versions", "isolation", "global_rng_used")
OF_THE_CASE = ("model", "loras", "runtime", "conditioning", "output")

Change = dict[str, Any]  # key, published, new


def changes(published: Record, new: Record) -> dict[str, list[Change]]:
    """The arguments and the fields of the environment that differ; absent is null."""
    cases = [{key: record["case"].get(key) for key in OF_THE_CASE} for record in (published, new)]
    return {
        "arguments": [*_changed(published, new, ARGUMENTS), *_differing(*cases)],
        "environment": _changed(published, new, ENVIRONMENT),
    }


def _changed(published: Record, new: Record, keys: tuple[str, ...]) -> list[Change]:
    return _differing(*({key: record.get(key) for key in keys} for record in (published, new)))


def _differing(published: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    before, after = dict(_flat(published)), dict(_flat(new))
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
