"""Simulates the dispatcher on recorded case times, in virtual time: how far a fleet is from the best there could be.

    uv run python -m bench.fleet -o OUT      gives OUT/fleet.json and OUT/fleet.png

The dispatcher and the splitting are the real ones; a host is simulated: it loads a model, runs its cases, and may die.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio
from trio.testing import MockClock

from ci.catalogue import files
from ci.catalogue.model import Case
from ci.plan import jobs
from ci.plan.jobs import Job
from ci.run.hosts.dispatch import Dispatch, HostFaultError, Place

RECORDED = Path(__file__).parent / "figures" / "recorded-cases.json"
LOAD_S = 55.0  # of a model: the slowest of the incumbent's loads (28 to 55 s, one H100, 2026)
CALL_S = 19.0  # of a nested call: the slowest that was measured, see docs/hosts/scale.md
NOTICED_S = 80.0  # until a host that hangs is given up: two questions, see ci/run/hosts/call.py
GUESS = 1.25  # a case's expected minutes are wrong by up to this factor
HOSTS = (1, 2, 4, 8, 16, 32, 64)
CASES = 10_000
KIND = "h100"


@dataclass(frozen=True)
class Machine:
    """A simulated host."""

    name: str
    dies: float = math.inf  # seconds after the start
    kind: str = KIND
    gpus: int = 1


@dataclass
class Simulation:
    """One call over a fleet."""

    seconds: dict[str, float]  # of each case, without the load
    machines: Sequence[Machine]
    finished: set[str] = field(default_factory=set)
    jobs: int = 0  # that were sent

    def run(self, planned: Sequence[Job]) -> float:
        """Dispatch the jobs; returns the seconds until the last of them was over. Raises where one was not done."""
        clock = MockClock(autojump_threshold=0)
        return anyio.run(self._dispatch, planned, backend="trio", backend_options={"clock": clock})

    async def _dispatch(self, planned: Sequence[Job]) -> float:
        started = anyio.current_time()
        self._start = started
        result = await Dispatch(planned, self.machines).run(self._job)
        if result.undone:
            raise RuntimeError(f"{len(result.undone)} jobs were not done")
        return anyio.current_time() - started

    async def _job(self, job: Job, place: Place, _devices: list[str]) -> None:
        machine = next(each for each in self.machines if each.name == place.name)
        self.jobs += 1
        await self._busy(machine, CALL_S + LOAD_S)
        for case in job.cases:
            if case.id in self.finished:  # by a host that died
                continue
            await self._busy(machine, self.seconds[case.id])
            self.finished.add(case.id)

    async def _busy(self, machine: Machine, seconds: float) -> None:
        left = machine.dies - (anyio.current_time() - self._start)
        if left < seconds:
            await anyio.sleep(max(0.0, left) + NOTICED_S)
            raise HostFaultError("it died")
        await anyio.sleep(seconds)


def planned(count: int, seed: int = 0) -> tuple[list[Job], dict[str, float]]:
    """Jobs of so many cases of the official models, the recorded times in turn; and the seconds of each case."""
    recorded: dict[str, float] = json.loads(RECORDED.read_text())["seconds"]
    official = files.load().cases
    chance = random.Random(seed)  # noqa: S311  # a simulation
    cases, seconds = [], {}
    for number in range(count):
        name = list(recorded)[number % len(recorded)]
        known, took = official[name], recorded[name]
        minutes = took / 60 * chance.uniform(1 / GUESS, GUESS)
        needs = known.spec.needs.model_copy(update={"gpu": KIND, "gpus": 1, "minutes": minutes})
        case = Case(f"{name}_{number}", known.source, known.spec.model_copy(update={"needs": needs}), None, known.file)
        cases.append(case)
        seconds[case.id] = took
    return jobs.plan(cases), seconds


def fleet(hosts: int, dying: int = 0, within: float = 0.0, seed: int = 0) -> list[Machine]:
    """So many hosts, of which some die at a random time within so many seconds."""
    chance = random.Random(seed)  # noqa: S311  # a simulation
    times = [chance.uniform(0, within) if number < dying else math.inf for number in range(hosts)]
    return [Machine(f"host-{number}", dies) for number, dies in enumerate(times)]


def lower_bound(work: Sequence[Job], seconds: dict[str, float], machines: Sequence[Machine]) -> float:
    """Seconds below which no dispatcher can be: each model and each host takes one load, and a dead host does nothing.

    The least T for which the hosts' time up to T holds all work, or the longest case with its load.
    """
    loads = max(len(work), len(machines))
    total = sum(seconds.values()) + loads * (CALL_S + LOAD_S)
    return max(_time_for(total, machines), max(seconds.values()) + CALL_S + LOAD_S)


def _time_for(total: float, machines: Sequence[Machine]) -> float:
    alive = len(machines)
    for dies in sorted(machine.dies for machine in machines):
        if total / alive <= dies:
            return total / alive
        total, alive = total - dies, alive - 1
    raise ValueError("no host lives long enough")


@dataclass(frozen=True)
class Figure:
    """One simulated call."""

    hosts: int
    dying: int
    cases: int
    jobs: int
    hours: float
    bound_hours: float
    ratio: float


def measure(cases: int, hosts: int, dying: int = 0, seed: int = 0) -> Figure:
    """Simulate one call; so many of the hosts die while a fleet without deaths would be at work."""
    work, seconds = planned(cases, seed)
    machines = fleet(hosts, dying, lower_bound(work, seconds, fleet(hosts)), seed)
    simulated = Simulation(seconds, machines)
    took = simulated.run(work)
    bound = lower_bound(work, seconds, machines)
    hours, bound_hours = round(took / 3600, 3), round(bound / 3600, 3)
    return Figure(hosts, dying, cases, simulated.jobs, hours, bound_hours, round(took / bound, 4))


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Makespan over lower bound, by the number of hosts."""
    import matplotlib as mpl  # noqa: PLC0415  # the simulation itself needs none

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    drawing, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for label, dying, style in (("all live", False, "o-"), ("a quarter of them die", True, "s--")):
        chosen = [each for each in figures if bool(each.dying) == dying and each.cases == CASES]
        axes.plot([each.hosts for each in chosen], [each.ratio for each in chosen], style, label=label)
    axes.axhline(1.1, color="#b8b8b8", linestyle=":", label="10 % over the bound")
    axes.set(xscale="log", xlabel="hosts, one GPU each", ylabel="makespan / lower bound", ylim=(0.98, 1.2))
    axes.set_xticks(HOSTS, [str(hosts) for hosts in HOSTS])
    axes.set_title(f"{CASES:,} cases of the official models, recorded times")
    axes.legend(frameon=False)
    drawing.savefig(path, dpi=110)
    plt.close(drawing)


def main() -> None:
    """Write the figures and their picture."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("bench-out"))
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    figures = [measure(CASES, hosts) for hosts in HOSTS]
    figures += [measure(CASES, hosts, dying=hosts // 4) for hosts in HOSTS if hosts // 4]
    (folder / "fleet.json").write_text(json.dumps([asdict(each) for each in figures], indent=1) + "\n")
    draw(figures, folder / "fleet.png")
    for each in figures:
        print(each)


if __name__ == "__main__":
    main()
