"""Gives each job to a host of its kind: the longest first, to the next one that is free, on to another on a fault."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Protocol

import anyio

from ...catalogue import gpus
from ...catalogue.gpus import CPU
from ...plan.jobs import Job

MOST_MOVES = 2  # after so many faults a job is not sent to a further host: it may be what brings hosts down
LEAST_MINUTES = 2.0  # a part loads the model once more and is a call of its own, 74 s or so: see docs/hosts/scale.md
PORTION = 0.8  # of what each GPU still has to do: parts get smaller towards the end, and all GPUs end together


class HostFaultError(Exception):
    """A host died, hung or refused; its job may do well elsewhere."""


class Devices:
    """Gives each job the GPUs that it needs, all at once, so that two jobs never wait for each other.

    `parallel` jobs may run side by side; 0: as many as there are GPUs, one without any.
    """

    def __init__(self, numbers: Sequence[str], parallel: int = 0) -> None:
        self._free = list(numbers)
        self._slots = parallel or max(1, len(numbers))
        self._freed = anyio.Condition()

    async def take(self, count: int) -> list[str]:
        """Wait for so many GPUs and a place; returns their numbers. Give them back."""
        async with self._freed:
            while self._slots < 1 or len(self._free) < count:
                await self._freed.wait()
            self._slots -= 1
            taken, self._free = self._free[:count], self._free[count:]
            return taken

    async def give_back(self, taken: list[str]) -> None:
        """Let the next job have them."""
        async with self._freed:
            self._slots += 1
            self._free = sorted([*self._free, *taken], key=int)
            self._freed.notify_all()


class Place(Protocol):
    """A host as the dispatch sees it."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def kind(self) -> str:
        """GPU kind that it offers; cpu where it has none."""
        ...

    @property
    def gpus(self) -> int:
        """How many of them it has."""
        ...


RunJob = Callable[[Job, Place, list[str]], Awaitable[None]]  # on these GPUs of the host, by number


@dataclass(frozen=True)
class Move:
    """A job that went from one host on to another."""

    job: Job
    host: str
    reason: str


@dataclass(frozen=True)
class Undone:
    """A job that no host could finish."""

    job: Job
    reason: str


@dataclass
class Dispatched:
    """What became of the jobs, and of the parts that long ones were cut into."""

    ran: dict[str, str] = field(default_factory=dict)  # host by job
    moves: list[Move] = field(default_factory=list)
    undone: list[Undone] = field(default_factory=list)


def suits(job: Job, host: Place) -> bool:
    """Whether a job may go to a host."""
    if job.gpu == CPU:
        return True
    return job.gpus <= max(1, host.gpus) and gpus.suits(job.gpu, host.kind)


def homeless(jobs: Iterable[Job], hosts: Sequence[Place]) -> list[Job]:
    """The jobs that no host may take."""
    return [job for job in jobs if not any(suits(job, host) for host in hosts)]


class Dispatch:
    """One call's jobs over its hosts; as many at a time on each as its GPUs allow."""

    def __init__(self, jobs: Sequence[Job], hosts: Sequence[Place]) -> None:
        self._waiting = list(jobs)
        self._holds: dict[str, str] = {}  # model by host
        self._parts = itertools.count(1)
        self._shares: dict[str, tuple[int, float]] = {}  # how many GPUs have had no part of it yet, by GPU kind
        self._alive = {host.name: host for host in hosts}
        self._running = 0
        self._changed = anyio.Condition()
        self._faults: dict[str, list[str]] = {}
        self.result = Dispatched()

    async def run(self, run_job: RunJob) -> Dispatched:
        """Run every job; `run_job` raises HostFaultError where the host, not the job, is at fault."""
        async with anyio.create_task_group() as group:
            for host in list(self._alive.values()):
                devices = Devices([str(number) for number in range(host.gpus)])
                for _ in range(max(1, host.gpus)):
                    group.start_soon(self._serve, host, devices, run_job)
        for job in self._waiting:
            self._give_up(job, self._faults.get(job.name, []))
        return self.result

    async def _serve(self, host: Place, devices: Devices, run_job: RunJob) -> None:
        while (job := await self._next(host)) is not None:
            taken = await devices.take(0 if job.gpu == CPU else min(job.gpus, host.gpus))
            fault = None
            try:
                await run_job(job, host, taken)
            except HostFaultError as error:
                fault = str(error)
            await devices.give_back(taken)
            await self._finished(job, host, fault)

    async def _next(self, host: Place) -> Job | None:
        """The longest waiting job that suits, or a part of it; None once none can come any more."""
        async with self._changed:
            while host.name in self._alive:
                suitable = [job for job in self._waiting if suits(job, host)]
                if suitable:
                    return self._part(min(suitable, key=lambda job: self._order(job, host)), host)
                if not self._running:
                    return None
                await self._changed.wait()  # a running job may come back from a host that fails
            return None

    def _order(self, job: Job, host: Place) -> tuple[float, str]:
        """A host that has a model's weights gets it before one that is up to twice as long."""
        return -job.minutes * (2 if self._holds.get(host.name) == job.model else 1), job.name

    def _part(self, job: Job, host: Place) -> Job:
        part, rest = cut(job, self._share(job), next(self._parts))
        self._waiting.remove(job)
        self._waiting += [rest] if rest is not None else []
        self._holds[host.name] = job.model
        self._running += 1
        return part

    def _share(self, job: Job) -> float:
        """Minutes that each GPU that suits the job has still to do; looked at anew when each of them has had a part."""
        left, share = self._shares.get(job.gpu, (0, 0.0))
        if not left:
            left = sum(max(1, host.gpus) for host in self._alive.values() if suits(job, host))
            share = sum(each.minutes * each.gpus for each in self._waiting if each.gpu == job.gpu) / left
        self._shares[job.gpu] = left - 1, share
        return share

    async def _finished(self, job: Job, host: Place, fault: str | None) -> None:
        async with self._changed:
            self._running -= 1
            if fault is None:
                self.result.ran[job.name] = host.name
            else:
                self._move(job, host, fault)
            self._changed.notify_all()

    def _move(self, job: Job, host: Place, fault: str) -> None:
        self._alive.pop(host.name, None)
        faults = self._faults.setdefault(job.name, [])
        faults.append(f"{host.name}: {fault}")
        others = any(suits(job, other) for other in self._alive.values())
        if others and len(faults) <= MOST_MOVES:
            self.result.moves.append(Move(job, host.name, fault))
            self._waiting.append(job)
        else:
            self._give_up(job, faults)

    def _give_up(self, job: Job, faults: Sequence[str]) -> None:
        reasons = "; ".join(faults)
        self.result.undone.append(Undone(job, "no host is left for it" + (f": {reasons}" if reasons else "")))


def cut(job: Job, share: float, number: int) -> tuple[Job, Job | None]:
    """A part of the job for one GPU, and what is left of it; the whole job where it is short.

    `share` is how many minutes each GPU that suits the job has still to do; the part is named by `number`.
    """
    minutes_wanted = max(LEAST_MINUTES, share * PORTION)
    if job.minutes < minutes_wanted + LEAST_MINUTES:
        return job, None
    ends = accumulate(case.spec.needs.minutes for case in job.cases)
    count = next(count for count, minutes in enumerate(ends, start=1) if minutes >= minutes_wanted)
    if count == len(job.cases):
        return job, None
    # No model's name has a plus in it, so no part is named like another job.
    name = f"{job.name.partition('+')[0]}+{number}"
    return replace(job, name=name, cases=job.cases[:count]), replace(job, cases=job.cases[count:])
