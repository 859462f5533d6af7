"""Drives the runner's own command line with the source `faulty`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.support.factory import RUNTIME

FAULTY = ROOT / "tests" / "support" / "faulty"


def faulty_case(name: str, does: str = "", minutes: float = 5.0, model: str = "m", **call: Any) -> dict[str, Any]:
    """A case that behaves as `does` says."""
    return {
        "id": name,
        "source": "faulty",
        "model": {"tiny": model},
        "needs": {"gpu": "any", "minutes": 0.1, "limit_minutes": minutes},
        "call": {"seed": 1, "does": does, **call},
        "runtime": RUNTIME,
        "output": {"kind": "image", "format": "png", "name_gpus": 1},
        "base": ".",
    }


@dataclass
class Runner:
    """Runs in one folder, so that a later run finds what an earlier one left."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def spec(self, *jobs: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        """A run of these jobs."""
        return {
            "jobs": [
                {"name": f"job-{n}", "source": "faulty", "device": "cpu", "gpu_kind": "cpu", "gpus": 1, "cases": cases}
                for n, cases in enumerate(jobs)
            ],
            "store": str(self.folder / "store"),
            "cache": str(self.folder / "cache"),
            "models": None,
            "previous": None,
            "fresh": False,
            "nonce": None,
            **changes,
        }

    def on_cards(
        self, cards: Sequence[str], *jobs: list[dict[str, Any]], gpus: int = 1, **changes: Any
    ) -> dict[str, Any]:
        """A run of these jobs on GPUs that do not exist: the source `faulty` needs none, but sees which one it has."""
        numbered = [{"id": card, "number": str(number), "memory_gb": 80.0} for number, card in enumerate(cards)]
        spec = self.spec(*jobs, cards=numbered, **changes)
        for job in spec["jobs"]:
            job |= {"device": "cuda", "gpu_kind": "h100"}
        return spec

    def start(self, spec: dict[str, Any], prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a run; `prefix` is a command that starts its own arguments."""
        file = self.folder / "run.json"
        file.write_text(json.dumps(spec))
        path = os.pathsep.join([str(FAULTY), str(ROOT / "containers" / "runner")])
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "gt_runner", "run", str(file)],
            env={**os.environ, "PYTHONPATH": path, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *jobs: list[dict[str, Any]], status: int = 0, **changes: Any) -> dict[str, dict[str, Any]]:
        """Run to the end; returns the last event of each case."""
        process = self.start(self.spec(*jobs, **changes))
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, err
        return outcomes(out)


def outcomes(out: str) -> dict[str, dict[str, Any]]:
    """The one event that ends each case."""
    events = [json.loads(line) for line in out.splitlines()]
    ends = [event for event in events if event["event"] in ("done", "reused", "failed", "skipped")]
    assert len({event["case"] for event in ends}) == len(ends), "a case ended twice"
    return {event["case"]: event for event in ends}
