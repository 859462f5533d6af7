"""A task, on its node: looks at the GPUs that Slurm gave it, and runs its job in the runner as a local run does.

    python -m ci.run.on_slurm.task FOLDER NUMBER

NUMBER.json in the folder says what is asked for. The runner's events go to NUMBER.LIFE.jsonl, where LIFE counts how
often Slurm has queued the task again; the first of them is of the task itself, and names node and machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...catalogue.gpus import CPU, suits
from ...plan.generation import now, offered
from ...plan.host import Host, this_host
from .. import runner
from ..signals import Stop
from . import container

SEEN = ("kind", "gpus", "memory_gb", "gpu_name", "multiprocessors")  # what is alike on machines that make the same
MACHINES = "machines"  # the folder that holds what was seen of each GPU kind that was asked for


def main(folder: Path, number: str) -> int:
    """Run a task; returns its exit status, 1 where a case is not finished."""
    request: dict[str, Any] = json.loads((folder / f"{number}.json").read_text())
    machine, node = this_host(), os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    rest = {case["id"] for case in request["run"]["jobs"][0]["cases"]}
    life = os.environ.get("SLURM_RESTART_COUNT", "0")
    with (folder / f"{number}.{life}.jsonl").open("w", encoding="utf-8") as events:

        def write(event: Mapping[str, Any]) -> None:
            if event["event"] in ("done", "reused"):
                rest.discard(event["case"])
            print(json.dumps(event), file=events, flush=True)

        traits = {name: getattr(machine, name) for name in SEEN}
        write({"event": "node", "node": node, "machine": traits, "time": now()})
        (job,) = request["run"]["jobs"]
        reason = _lack(request, machine, node)
        if reason is None:
            _remember(folder.parent / MACHINES / request["gpu"], traits)
            spec = {name: value for name, value in job.items() if name != "card"} | offered(request["gpu"], machine)
            try:
                for event in _events({**request["run"], "jobs": [spec]}, _within(request)):
                    write(event)
            except OSError as error:
                reason = f"its runner does not start on {node}: {error}"
        for case in job["cases"] if reason is not None else ():
            write({"event": "failed", "case": case["id"], "phase": "load", "reason": reason})
    return int(bool(rest))


def _events(run: Mapping[str, Any], within: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The events of a run. Slurm ends all processes of a task at once: a case that ends so was interrupted."""
    stop = Stop()
    with runner.events_of(run, quiet=False, within=within, stop=stop) as events:
        for event in events:
            if stop.is_set and event["event"] == "failed":
                yield {"event": "skipped", "case": event["case"], "reason": "interrupted"}
            else:
                yield event


def _lack(request: Mapping[str, Any], machine: Host, node: str) -> str | None:
    """What the machine does not have and the job needs: GPUs are given by names that the site wrote."""
    kind, count = request["gpu"], request["gpus"]
    if kind == CPU or (suits(kind, machine.kind) and (count <= machine.gpus or not machine.gpus)):
        return None
    cards = f"{machine.gpus} x {machine.gpu_name}" if machine.gpus else "no GPU that its driver knows"
    return f"it needs {count} x {kind}, and on {node} Slurm gave it {cards}; the site file says what a kind is called"


def _remember(folder: Path, traits: Mapping[str, Any]) -> None:
    """Keep what was seen: later calls look for its results before they ask Slurm for anything."""
    text = json.dumps(traits, sort_keys=True)
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    with suppress(OSError):  # of somebody else with the same cache: later calls then ask Slurm first
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            new = file.with_suffix(f".{uuid.uuid4().hex}")
            new.write_text(text)
            new.rename(file)


def remembered(file: Path) -> Host | None:
    """The machine that a file keeps; None where another version of this program, or a full disk, wrote it."""
    try:
        traits = json.loads(file.read_text())
        return Host(**{name: traits[name] for name in SEEN})
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _within(request: Mapping[str, Any]) -> list[str]:
    if request["container"] is None:
        return []
    run = request["run"]
    places = [run.get(name) for name in ("cache", "store", "models", "previous", "deliver", "against")]
    folders = dict.fromkeys(filter(None, [*places, *(case["base"] for case in run["jobs"][0]["cases"])]))
    others = container.weights()
    for folder in (*folders, *others):  # none mounts what is not there, such as a store before its first result
        Path(folder).mkdir(parents=True, exist_ok=True)
    return container.within(request["container"], request["image"], folders, others)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
