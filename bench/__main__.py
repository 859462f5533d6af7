"""One command for all figures: uv run python -m bench -o OUT gives OUT/bench.json and OUT/bench.png."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ci.catalogue.gpus import ANY, CPU
from ci.plan.host import this_host

from . import generation, planning, plot, subject
from .generation import Generation
from .machine import Machine, machine
from .planning import Planning
from .process import BenchError


@dataclass(frozen=True)
class Report:
    """One run of the bench: bench.json."""

    date: str
    machine: Machine
    architecture: str
    cases: int
    steps: int  # of each case
    generation: Generation
    planning: Planning


def main() -> int:
    """Measure, write, say the figures that matter most."""
    options = _options()
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gt-bench-") as folder:
        work: Path = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        try:
            report = measure(options, work)
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    write(report, output)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for bench.json and bench.png")
    parser.add_argument("--architecture", choices=sorted(subject.ARCHITECTURES), default="tiny")
    parser.add_argument(
        "--models", type=Path, help="weights as `gt --models` takes them; made of random numbers if not"
    )
    parser.add_argument(
        "--work", type=Path, help="keep weights, logs and artifacts in this new folder (default: nothing)"
    )
    parser.add_argument("--on", default=ANY, help="GPU kind, as `gt --on` takes it (default: what is here)")
    parser.add_argument("--warm-rounds", type=int, default=1, help="rounds after the cold one (default: 1)")
    return parser.parse_args()


def measure(options: argparse.Namespace, work: Path) -> Report:
    """Planning first, which is over soon. Raises BenchError."""
    planning_figures = planning.measure(work)
    architecture = subject.ARCHITECTURES[options.architecture]
    here = this_host()
    bodies = subject.derived(architecture)
    target = subject.Subject(
        bodies=bodies,
        cases=subject.write_cases(work / "cases", bodies),
        models=options.models or subject.random_weights(architecture, work / "models", work),
        on=options.on,
        device="cuda" if here.gpus and options.on != CPU else "cpu",
        work=work,
    )
    return Report(
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(here, target.device),
        architecture=architecture.name,
        cases=len(bodies),
        steps=next(iter(bodies.values()))["call"]["num_inference_steps"],
        generation=generation.measure(target, options.warm_rounds),
        planning=planning_figures,
    )


def write(report: Report, output: Path) -> None:
    """bench.json and bench.png."""
    (output / "bench.json").write_text(json.dumps(asdict(report), indent=1) + "\n")
    plot.draw(report, output / "bench.png")


if __name__ == "__main__":
    sys.exit(main())
