"""Gives each job to a host of its kind: the longest first, to the one with most GPUs free, to another after a fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import anyio

from ...artifact.records import MoveRecord
from ...catalogue import gpus
from ...catalogue.gpus import CPU
from ...plan.fleet import FleetHost
from ...plan.host import Host
from ...plan.jobs import Job, longest_first, spread

MOST_MOVES = 2  # after so many faults a job is not sent to a further host: it may be what brings hosts down
PART_MINUTES = 2.0  # least mean of a part: it is a call and a load of its own, 74 s or so, see docs/hosts/scale.md


class HostFaultError(Exception):
    """A host died, hung or refused; its job may do well elsewhere."""


@dataclass(frozen=True)
class Place:
    """A machine that takes jobs: a host that has answered, or this engine."""

    name: str
    machine: Host  # as its driver says
    engine: str | None = None  # version, of a host
    host: FleetHost | None = None  # None: this engine

    @property
    def slots(self) -> int:
        """How many jobs of one GPU it runs at a time."""
        return max(1, len(self.machine.cards))

    def suits(self, job: Job) -> bool:
        """Whether a job may go there."""
        return job.gpu == CPU or (job.gpus <= self.slots and gpus.suits(job.gpu, self.machine.kind))


RunJob = Callable[[Job, Place, list[str]], Awaitable[None]]  # on these GPUs of the place, by number


def homeless(jobs: Iterable[Job], places: Sequence[Place]) -> list[Job]:
    """The jobs that no place may take."""
    return [job for job in jobs if not any(place.suits(job) for place in places)]


def parts(jobs: Sequence[Job], places: Sequence[Place]) -> Iterator[Job]:
    """The jobs, of which long ones are split where GPUs of their kind would else idle."""
    for gpu in {job.gpu for job in jobs}:
        group = [job for job in jobs if job.gpu == gpu]
        slots = sum(place.slots for place in places if any(place.suits(job) for job in group))
        yield from spread(group, min(slots, int(sum(job.minutes for job in group) / PART_MINUTES)))


class Dispatch:
    """One call's jobs over its places; `moves` and `leftovers` say what did not go as planned."""

    def __init__(self, jobs: Sequence[Job], places: Sequence[Place]) -> None:
        self._jobs = longest_first(parts(jobs, places))
        self._places, self._alive = places, list(places)
        self._faults: dict[str, str] = {}  # by host: what it died of
        self._free = {place.name: [card.number for card in place.machine.cards] or [""] for place in places}
        self._change = anyio.Condition()
        self.moves: list[MoveRecord] = []
        self.leftovers: list[tuple[Job, str]] = []  # and why

    async def run(self, run_job: RunJob) -> None:
        """Run every job; `run_job` raises HostFaultError where the host, not the job, is at fault."""
        async with anyio.create_task_group() as group:
            for job in self._jobs:  # those that wait are served in this order
                group.start_soon(self._run, job, run_job)

    async def _run(self, job: Job, run_job: RunJob) -> None:
        faults: list[MoveRecord] = []
        while len(faults) <= MOST_MOVES and (share := await self._take(job)) is not None:
            self.moves += faults[-1:]
            place, devices = share
            try:
                await run_job(job, place, devices if place.machine.cards and job.gpu != CPU else [])
            except HostFaultError as error:
                faults.append(MoveRecord(cases=[case.id for case in job.cases], host=place.name, reason=str(error)))
                self._alive = [other for other in self._alive if other is not place]
                self._faults[place.name] = str(error)
            else:
                return
            finally:
                async with self._change:
                    self._free[place.name] += devices
                    self._change.notify_all()
        self.leftovers.append((job, self._why(job, [fault.host for fault in faults])))

    def _why(self, job: Job, hosts: Sequence[str]) -> str:
        """Why a job is not done: what its hosts died of, also those that died of other jobs."""
        words = "no further host is tried"
        if len(hosts) <= MOST_MOVES:
            words, hosts = "no host is left for it", [place.name for place in self._places if place.suits(job)]
        reasons = [f"{name}: {self._faults[name]}" for name in hosts if name in self._faults]
        return f"{words}: {'; '.join(reasons)}" if reasons else words

    async def _take(self, job: Job) -> tuple[Place, list[str]] | None:
        """Wait for a place with enough GPUs free, and take them; None once no place is left that suits."""
        count = 1 if job.gpu == CPU else job.gpus
        async with self._change:
            while candidates := [place for place in self._alive if place.suits(job)]:
                place = max(candidates, key=lambda place: len(self._free[place.name]))
                free = self._free[place.name]
                if len(free) >= count:
                    self._free[place.name] = free[count:]
                    return place, free[:count]
                await self._change.wait()
            return None
