"""Several cases and models on one GPU and on more: what each GPU did when, and how far from the floor.

    uv run python -m bench.several -o OUT [--architecture flux1] [--work DISK] [RUN …]

A RUN is SET:STATE:GPUS[:STEPS]. Several that are joined by + are made at once, each on GPUs of its own. Sets: `six` is
6 cases of one model, `four` is 4 models of different size with 3 cases each. States:

    warm     the weights are in the page cache
    cold     they were dropped from it before, which a disk that is memory does not do
    again    the same once more with nothing changed
    taken    warm, and once the last GPU has begun its first case, another process fills that GPU's memory

Models are FluxPipelines with random weights; `tiny` ones run on a CPU. OUT/several.json is written anew after each run
and holds everything: figures, the events of each run with their times, samples of nvidia-smi. bench.timeline draws it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ci.plan.host import Host, this_host
from ci.plan.nvidia import Card
from ci.words import counted

from . import filling, machine, reading, spans, subject, watched
from .process import BenchError, environment
from .report import SETS, Order, Report, Run, at_once
from .watched import Notice, Watch

LAYERS = (subject.FLUX1_LAYERS, (12, 24, 12), (8, 16, 6), (5, 10, 3))  # of each model: see bench.random_weights
READ = 8 * 10**9  # bytes that are read, from the first file on, to find the rate of a plain read
CONTEXT_GB = 12  # of GPU memory beside a model's own weights, for a call


class Bench:
    """The weights, the cases and the cards of all runs."""

    def __init__(self, work: Path, output: Path, architecture: subject.Architecture, on: str) -> None:
        self._work, self._output, self._architecture, self._on = work, output, architecture, on
        self._host = this_host() if on != "cpu" else Host("cpu")
        device = "cuda" if self._host.cards else "cpu"
        today = datetime.now(UTC).date().isoformat()
        self.report = Report(today, machine.machine(self._host, device), architecture.name)

    def prepare(self, models: int) -> None:
        """Make the weights, and let everything be read, hashed and compiled once. Raises BenchError."""
        since = time.perf_counter()
        makers = [self._maker(number, LAYERS[number]) for number in range(models)]
        for number, maker in enumerate(makers):
            if maker.wait():
                raise BenchError(f"model {number} was not made: {self._log(number).read_text()[-2000:]}")
        self.report.weights_made_seconds = round(time.perf_counter() - since, 1)
        self.report.bytes_of_models = [_size(each) for each in self._models()]
        self._say("weights made", self.report.weights_made_seconds, "s;", sum(self.report.bytes_of_models) / 1e9, "GB")
        run = self._generate("warm-up", self._cases(models, 1, 1), [], self._host.cards)
        if run.status:
            raise BenchError("\n".join(["the first run failed:", *run.lines[-20:]]))
        self.report.read_gb_s["warm"] = reading.plain(self._files(), READ)
        self._say("warm-up", run.wall, "s; plain read", self.report.read_gb_s["warm"], "GB/s")

    def run(self, together: Sequence[Order]) -> None:
        """Make one run, or several at once, and put them into the report."""
        cold = any(order.state == "cold" for order in together)
        if cold and "cold" not in self.report.read_gb_s:
            reading.forget(self._files())
            self.report.read_gb_s["cold"] = reading.plain(self._files(), READ)
        if cold:
            reading.forget(self._files())
        before = [sum(each.gpus for each in together[:place]) for place in range(len(together))]
        with ThreadPoolExecutor() as pool:
            runs = [*pool.map(self._run, together, before)]
        for run in runs:
            run.beside = [other.name for other in runs if other is not run]
        self.report.runs += runs
        self.report.write(self._output)

    def _run(self, order: Order, before: int) -> Run:
        """One run; `before` is how many GPUs those at its side have."""
        models, count = SETS[order.set]
        cards = self._host.cards[before : before + order.gpus]
        cases = self._cases(models, count, order.steps)
        options = [] if order.state == "again" else ["--fresh"]
        with self._taking(cards if order.state == "taken" else ()) as notice:
            watch = self._generate(order.name, cases, options, cards, notice)
        return self._figures(order, watch, models)

    def _figures(self, order: Order, watch: Watch, models: int) -> Run:
        steps = order.steps or subject.official()["call"]["num_inference_steps"]
        run = Run(order.name, order.set, order.state, order.gpus, steps, wall=watch.wall)
        run.events, run.samples = watch.events, watch.samples
        run.notices = [event["text"] for _, event in watch.events if event["event"] == "notice"]
        run.failed = {event["case"]: event["reason"] for _, event in watch.events if event["event"] == "failed"}
        run.made = sum(event["event"] == "done" for _, event in watch.events)
        manifest = self._work / order.name / "manifest.json"
        if watch.status and not (run.failed and order.state == "taken"):
            run.error = "\n".join([f"ended with {watch.status}:", *watch.lines[-20:]])
        elif manifest.is_file():
            records = json.loads(manifest.read_text())["cases"].values()
            run.files = {file["name"]: file["sha256"] for record in records for file in record.get("files", [])}
            started = {record["process"]["started"] for record in records if record.get("process")}
            run.processes = sorted(
                round(datetime.fromisoformat(each).timestamp() - watch.started, 2) for each in started
            )
        if run.made and not run.error and order.state != "again":
            self._measure(run, models)
        figures = {name: getattr(run, name) for name in ("name", "wall", "over_floor", "busy", "kernels", "made")}
        self._say(json.dumps(figures), run.error, *run.failed.values(), *run.notices)
        return run

    def _measure(self, run: Run, models: int) -> None:
        line = spans.timeline(run.wall, run.events, run.samples)
        rate = self.report.read_gb_s["cold" if run.state == "cold" else "warm"] * 1e9
        floor = spans.floor(line, self.report.bytes_of_models[:models], rate)
        run.floor = {"seconds": round(floor.seconds, 2), "first_read": round(floor.first_read, 2)}
        run.floor |= {"other_reads": round(floor.other_reads, 2), "calls": round(floor.calls, 2)}
        run.over_floor = round(run.wall / floor.seconds, 3)
        run.busy = {card: round(line.busy(card), 3) for card in line.cards}
        run.kernels = {card: None if (share := line.kernels(card)) is None else round(share, 3) for card in line.cards}

    def _generate(
        self, name: str, cases: Path, options: Sequence[str], cards: Sequence[Card], notice: Notice = lambda _: None
    ) -> Watch:
        place = ["--cases", str(cases), "--models", str(self._work / "models"), "--on", self._on]
        numbers = [card.number for card in cards]
        devices = ["--devices", ",".join(numbers)] if len(numbers) < len(self._host.cards) else []
        output = ["--replace", "-o", str(self._work / name)]
        return watched.generate([*place, *devices, *output, *options], self._work / "cache", numbers, notice)

    @contextmanager
    def _taking(self, cards: Sequence[Card]) -> Iterator[Notice]:
        """While open, fills the last one's memory from when a case has begun on it."""
        processes: list[subprocess.Popen[bytes]] = []

        def notice(event: Mapping[str, Any]) -> None:
            if not processes and cards and (event.get("phase"), event.get("card")) == ("generate", cards[-1].number):
                env = {**os.environ, "CUDA_VISIBLE_DEVICES": cards[-1].id}
                processes.append(subprocess.Popen([sys.executable, str(filling.__file__)], env=env))

        try:
            yield notice
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def _maker(self, number: int, layers: Sequence[int]) -> subprocess.Popen[bytes]:
        """Makes one model, on a card of its own as far as there are so many."""
        cards = self._host.cards
        here = {"CUDA_VISIBLE_DEVICES": cards[number % len(cards)].id} if cards else {}
        target = self._work / "models" / f"random/model-{number}"
        command = [sys.executable, "-m", "bench.random_weights", self._architecture.name, str(target), "--whole"]
        with self._log(number).open("wb") as log:
            env = environment(here)
            return subprocess.Popen([*command, "--layers", *map(str, layers)], stdout=log, stderr=log, env=env)

    def _log(self, number: int) -> Path:
        return self._work / f"model-{number}.log"

    def _cases(self, models: int, count: int, steps: int | None) -> Path:
        sizes = self.report.bytes_of_models[:models]
        return write_cases(self._work / f"cases-{models}-{count}-{steps}", self._architecture, sizes, count, steps)

    def _models(self) -> list[Path]:
        return sorted((self._work / "models" / "random").iterdir())

    def _files(self) -> list[Path]:
        return reading.weight_files(self._work / "models")

    def _say(self, *what: object) -> None:
        print(*what, file=sys.stderr, flush=True)


def write_cases(
    folder: Path, architecture: subject.Architecture, sizes: Sequence[int], count: int, steps: int | None
) -> Path:
    """A cases folder: the bench's case under so many seeds, for a model of each of these sizes in bytes.

    The larger a model is, the longer its calls are expected to take.
    """
    bodies = {}
    for number, size in enumerate(sizes):
        for name, body in subject.derived(architecture, count, steps).items():
            minutes = round(body["needs"]["minutes"] * size / sizes[0], 3)
            needs = {**body["needs"], "minutes": minutes, "vram_gb": round(size / 1e9 + CONTEXT_GB, 1)}
            bodies[f"model_{number}_{name}"] = {**body, "model": {"repo": f"random/model-{number}"}, "needs": needs}
    return subject.write_cases(folder, bodies)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in reading.weight_files(folder))


def every_run(gpus: int) -> list[Order]:
    """What is measured where the command line names nothing, what matters most first."""
    ways = [1, gpus] if gpus > 1 else [gpus]
    plain = [Order(name, state, way) for state in ("warm", "cold") for name in SETS for way in ways]
    return [*plain, Order("four", "again", gpus), *([Order("six", "taken", gpus, 10)] if gpus > 1 else [])]


def beyond(runs: Sequence[Sequence[Order]], gpus: int) -> str:
    """The runs that a machine with so many GPUs cannot make, by name: their figures would be those of fewer."""
    least = min(gpus, 1)
    odd = [each for each in runs if sum(run.gpus for run in each) > gpus or any(run.gpus < least for run in each)]
    return " and ".join(" + ".join(run.name for run in each) for each in odd)


def main() -> int:
    """Measure; 1 where a run failed or gave other bytes."""
    parser = argparse.ArgumentParser(prog="bench.several", description=__doc__, formatter_class=_FORMAT)
    parser.add_argument("runs", nargs="*", type=at_once, metavar="RUN", help="default: all that make sense here")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--architecture", choices=sorted(subject.ARCHITECTURES), default="tiny")
    parser.add_argument("--on", default="any", help="as `gt --on` takes it")
    parser.add_argument("--work", type=Path, help="the folder of weights and artifacts, on the disk to be measured")
    parser.add_argument("--until", type=float, default=float("inf"), help="seconds after which no other run begins")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    since = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gt-bench-", dir=options.work) as folder:
        bench = Bench(Path(folder), options.output, subject.ARCHITECTURES[options.architecture], options.on)
        there = bench.report.machine.gpus
        runs = options.runs or [[order] for order in every_run(there)]
        if odd := beyond(runs, there):
            parser.error(
                f"{odd}: this machine has {counted(there, 'GPU')}; a run uses 0 where there is none, else 1 or more"
            )
        try:
            bench.prepare(max(SETS[order.set][0] for together in runs for order in together))
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        for together in runs:
            if time.perf_counter() - since < options.until:
                bench.run(together)
    report = bench.report
    print(json.dumps({"ratios": report.ratios, "same_bytes": report.same_bytes}))
    return int(any(run.error for run in report.runs) or not all(report.same_bytes.values()))


_FORMAT = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main())
