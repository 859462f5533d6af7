"""What is run: an architecture, its cases, and the folders of one bench."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ci.catalogue import files

from .process import run

OFFICIAL = "flux_image_t2i"
FLUX1_LAYERS = (19, 38, 24)  # double and single blocks of FLUX.1's transformer, layers of its T5


@dataclass(frozen=True)
class Architecture:
    """Random weights by the name that bench.random_weights knows, and how many cases make a run of over a minute."""

    name: str
    cases: int
    dtype: str  # the CPUs at hand have no fast bf16 convolution, so tiny runs in fp32


ARCHITECTURES = {each.name: each for each in (Architecture("tiny", 4, "fp32"), Architecture("flux1", 6, "bf16"))}


@dataclass(frozen=True)
class Subject:
    """Cases, weights and the device that they run on; `on` is what `gt --on` gets."""

    bodies: dict[str, dict[str, Any]]
    cases: Path
    models: Path
    on: str
    device: str
    work: Path

    @property
    def model(self) -> Path:
        """The folder of the one model."""
        repo: str = next(iter(self.bodies.values()))["model"]["repo"]
        return self.models / repo

    def some(self, count: int, steps: int | None = None) -> Path:
        """A cases folder with the first cases alone, of their own number of steps or of another."""
        changes = {} if steps is None else {"num_inference_steps": steps}
        bodies = {name: {**body, "call": {**body["call"], **changes}} for name, body in [*self.bodies.items()][:count]}
        return write_cases(self.work / f"first-{count}", bodies)


def derived(
    architecture: Architecture, count: int | None = None, steps: int | None = None
) -> dict[str, dict[str, Any]]:
    """The official case under so many seeds (default: the architecture's number); every other argument as it is.

    `steps` of denoising, in place of the case's own.
    """
    body = official()
    first = body["call"]["seed"]
    changes = {} if steps is None else {"num_inference_steps": steps}
    return {
        f"{OFFICIAL}_{seed}": {
            **body,
            "call": {**body["call"], **changes, "seed": seed},
            "runtime": {**body["runtime"], "dtype": architecture.dtype},
        }
        for seed in range(first, first + (architecture.cases if count is None else count))
    }


def official() -> dict[str, Any]:
    """The body of the official case, as a case file has it."""
    return {key: value for key, value in files.load().cases[OFFICIAL].data().items() if key not in ("id", "source")}


def write_cases(folder: Path, bodies: dict[str, dict[str, Any]]) -> Path:
    """A folder that `gt --cases` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times faster, where PyYAML was built with libyaml
    text = yaml.dump({"version": 1, "source": "diffusers", "cases": bodies}, Dumper=dumper, sort_keys=False)
    (folder / "diffusers.yaml").write_text(text)
    return folder


def random_weights(architecture: Architecture, folder: Path, work: Path) -> Path:
    """Build the weights in a process of its own, which leaves no GPU memory taken."""
    command = [sys.executable, "-m", "bench.random_weights", architecture.name, str(folder)]
    run(command, work / "weights.log")
    return folder
