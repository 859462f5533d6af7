"""One run of several models, cold and warm, on one GPU and on all: what each GPU did when, and how far from the floor.

    uv run python -m bench.several -o OUT [--architecture flux1] [--models 4] [--cases 3]

OUT gets several.json, several.png, and the events of each run (`runs/NAME.json`, which bench.timeline draws too).
Models are FluxPipelines of different size with random weights; `tiny` ones run on a CPU. A cold run has the weights
dropped from the page cache, which a disk that is memory does not do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ci import ROOT
from ci.plan.host import this_host

from . import reading, subject, timeline
from .process import EVERY_MS, BenchError, run
from .runs import GT
from .timeline import Timeline

MARK = "gt-event "  # of the runner's events among the lines for people
FIELDS = ("index", "utilization.gpu")  # of a sample
LAYERS = ((19, 38), (12, 24), (8, 16), (5, 10))  # double and single blocks of the transformers, FLUX.1's own first


@dataclass(frozen=True)
class Figure:
    """One run. `over_floor` is its wall time over the floor, `busy` each GPU's share of calls after its first load."""

    name: str
    wall: float
    floor: float
    over_floor: float
    busy: dict[str, float]
    files: dict[str, str]  # sha256 by name


def cases(folder: Path, architecture: subject.Architecture, models: int, count: int) -> Path:
    """A cases folder: the bench's case under so many seeds, for each of so many models."""
    bodies = {
        f"model_{number}_{name}": {**body, "model": {"repo": f"random/model-{number}"}}
        for number in range(models)
        for name, body in [*subject.derived(architecture).items()][:count]
    }
    return subject.write_cases(folder, bodies)


def weights(folder: Path, architecture: str, models: int, work: Path) -> None:
    """Random weights of each model."""
    for number, (double, single) in enumerate(LAYERS[:models]):
        target = folder / f"random/model-{number}"
        size = [] if architecture == "tiny" else ["--layers", str(double), str(single)]
        command = [sys.executable, "-m", "bench.random_weights", architecture, str(target), "--whole", *size]
        run(command, work / f"weights-{number}.log")


@contextmanager
def _sampled(samples: list[list[float]], started: float) -> Iterator[None]:
    """While open, adds (seconds, GPU, percent of the time that a kernel ran) of each GPU, where there is a driver."""
    query = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits", "-lms", EVERY_MS]
    try:
        sampler = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        yield
        return

    def follow() -> None:
        rows = (line.split(",") for line in sampler.stdout or ())
        whole = (row for row in rows if len(row) == len(FIELDS))
        samples.extend([round(time.perf_counter() - started, 3), *map(float, row)] for row in whole)

    threading.Thread(target=follow, daemon=True).start()
    try:
        yield
    finally:
        sampler.terminate()
        sampler.wait()


def generate(name: str, output: Path, work: Path, options: Sequence[str]) -> Timeline:
    """One `gt generate --fresh`, with the time at which each event arrived. Raises BenchError where it fails."""
    command = [*GT, "generate", "--official", "--fresh", "--replace", "-o", str(work / name), *options]
    env = {**os.environ, "GT_CACHE": str(work / "cache"), "GT_EVENTS_ON_STDERR": "1", "PYTHONPATH": str(ROOT)}
    events: list[tuple[float, Mapping[str, Any]]] = []
    samples: list[list[float]] = []
    lines: list[str] = []
    started = time.perf_counter()
    with _sampled(samples, started):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT)
        for line in process.stderr or ():
            _, marked, event = line.partition(MARK)
            if marked:
                events.append((round(time.perf_counter() - started, 3), json.loads(event)))
            else:
                lines.append(line)
        status = process.wait()
        wall = round(time.perf_counter() - started, 3)
    if status:
        raise BenchError("".join([f"{name} ended with {status}:\n", *lines[-20:]]))
    (output / "runs").mkdir(exist_ok=True)
    written = {"wall": wall, "events": events, "samples": samples}
    (output / "runs" / f"{name}.json").write_text(json.dumps(written))
    return timeline.timeline(wall, events, samples)


def figure(name: str, run_of: Timeline, sizes: Sequence[int], rate: float, artifact: Path) -> Figure:
    """The figures of one run."""
    floor = timeline.floor(run_of, sizes, rate).seconds
    manifest = json.loads((artifact / "manifest.json").read_text())
    files = {file["name"]: file["sha256"] for case in manifest["cases"].values() for file in case["files"]}
    busy = {card: round(run_of.busy(card), 3) for card in run_of.cards}
    return Figure(name, run_of.wall, round(floor, 2), round(run_of.wall / floor, 3), busy, files)


def measure(options: argparse.Namespace, output: Path, work: Path) -> list[Figure]:
    """All runs: a warm-up that takes the sha256 of the weights, then cold and warm on one GPU and on all."""
    architecture = subject.ARCHITECTURES[options.architecture]
    weights(work / "models", architecture.name, options.models, work)
    files = reading.weight_files(work / "models")
    sizes = [sum(path.stat().st_size for path in each.rglob("*.safetensors")) for each in model_folders(work)]
    place = ["--models", str(work / "models"), "--on", options.on]
    generate("warm-up", output, work, [*place, "--cases", str(cases(work / "short", architecture, options.models, 1))])
    read = reading.measure(files)
    place += ["--cases", str(cases(work / "cases", architecture, options.models, options.cases))]
    cards = this_host().cards if options.on != "cpu" else ()
    ways = {"1 GPU": ["--devices", cards[0].number], f"{len(cards)} GPUs": []} if len(cards) > 1 else {"one": []}
    runs, figures = {}, []
    for state, rate in (("cold", read.cold_gb_s), ("warm", read.warm_gb_s)):
        for way, chosen in ways.items():
            name = f"{state}, {way}"
            reading.forget(files if state == "cold" else [])
            runs[name] = generate(name, output, work, [*place, *chosen])
            figures.append(figure(name, runs[name], sizes, rate * 1e9, work / name))
            print(json.dumps({key: value for key, value in asdict(figures[-1]).items() if key != "files"}), flush=True)
    timeline.draw(runs, output / "several.png")
    return figures


def model_folders(work: Path) -> list[Path]:
    """The models, in the order in which a run begins them: the first one has the longest calls."""
    return sorted((work / "models" / "random").iterdir())


def main() -> int:
    """Measure, write, say whether all runs gave the same bytes."""
    parser = argparse.ArgumentParser(prog="bench.several", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--architecture", choices=sorted(subject.ARCHITECTURES), default="tiny")
    parser.add_argument("--models", type=int, choices=range(1, len(LAYERS) + 1), default=len(LAYERS))
    parser.add_argument("--cases", type=int, default=3, help="of each model")
    parser.add_argument("--on", default="any", help="as `gt --on` takes it")
    parser.add_argument("--work", type=Path, help="the folder of weights and artifacts, on the disk to be measured")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gt-bench-", dir=options.work) as folder:
        try:
            figures = measure(options, options.output, Path(folder))
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    same = len({json.dumps(each.files, sort_keys=True) for each in figures}) == 1
    report = {"same_bytes": same, "runs": [asdict(each) for each in figures]}
    (options.output / "several.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({"same_bytes": same}))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
