"""The message of a commit to the data repository: what changed and why, and what made it."""

from __future__ import annotations

from collections.abc import Collection

from ..artifact.records import CaseRecord
from ..errors import one_line
from ..words import counted
from .changes import Changes, Order

SHOWN = ("cuda", "driver", "diffusers", "transformers", "python")  # versions that a message names


def message(order: Order, plan: Changes) -> str:
    """Title, a line for each kind of change and each version, trailers."""
    count = len(plan.new) + len(plan.changed)
    if count:
        title = f"Publish {counted(count, 'case')}"
    else:
        title = "Remove retired cases" if plan.removed else "Publish provenance"
    lines = [f"{title} ({', '.join(order.batch.folders)})", ""]
    lines += [f"new: {' '.join(plan.new)}"] if plan.new else []
    lines += [f"changed: {name}: {one_line(order.accept[name])}" for name in plan.changed]
    lines += [f"removed: {' '.join(plan.removed)}"] if plan.removed else []
    lines += _origin(order)
    return "\n".join([*lines, "", *_trailers(order)]) + "\n"


def _origin(order: Order) -> list[str]:
    """What made the cases."""
    tool, records = order.batch.manifest.run.tool, _records(order)
    commit = f", commit {tool.commit}{' and changes' if tool.dirty else ''}" if tool.commit else ""
    lines = [f"tool: diffusion-gt {one_line(tool.version)}{commit}"]
    for name in SHOWN:
        versions = _versions(records, name)
        lines += [one_line(f"{name}: {versions}")] if versions else []
    gpus = {record.gpu for record in records if record.gpu is not None}
    cards = sorted({f"{gpu.kind} ({gpu.name})" if gpu.name else gpu.kind for gpu in gpus})
    return lines + ([one_line(f"gpu: {', '.join(cards)}")] if cards else [])


def _trailers(order: Order) -> list[str]:
    """Who and what this is from, for a program that reads the history: upstream's keys, and the manifest."""
    run, source = order.run, order.source
    values = {
        "Run": run.address,
        "Triggered-by": run.triggered_by,
        "Source-ref": source.ref,
        "Source-sha": source.sha,
        "Torch": _versions(_records(order), "torch"),
        "Diffusion-GT-Manifest": order.batch.digest,
    }
    return [f"{key}: {text}" for key, value in values.items() if (text := one_line(value))]


def _records(order: Order) -> list[CaseRecord]:
    return [record for name, record in order.batch.manifest.cases.items() if name in order.batch.cases]


def _versions(records: Collection[CaseRecord], name: str) -> str:
    return ", ".join(sorted({version for record in records if (version := record.versions.get(name))}))
