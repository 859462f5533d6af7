"""The promises of splitting: no case lost, no GPU left idle by one long job, nothing cut that is short."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.plan.jobs import Job, plan
from ci.run.hosts.dispatch import LEAST_MINUTES, PORTION, Dispatch, HostFaultError, Place, cut
from tests.support.factory import case

MINUTES = 1.5  # of a case of the factory


@dataclass(frozen=True)
class Machine:
    """A host."""

    name: str
    kind: str = "h100"
    gpus: int = 1


def job(cases: int, model: str = "owner/model", kind: str = "h100") -> Job:
    """All cases of one model."""
    return plan([case(f"{model.split('/')[1]}_{number}", model, kind) for number in range(cases)])[0]


@given(cases=st.integers(1, 60), share=st.floats(0, 200))
def test_a_part_and_what_is_left_are_the_whole_job_in_its_order(cases: int, share: float) -> None:
    whole = job(cases)
    part, rest = cut(whole, share, 1)
    assert part.cases + (rest.cases if rest else ()) == whole.cases
    assert part.cases
    assert (part.name == whole.name) == (rest is None)
    assert (part.source, part.model, part.gpu, part.gpus) == (whole.source, whole.model, whole.gpu, whole.gpus)
    if rest is not None:
        assert rest.cases
        assert part.minutes < max(LEAST_MINUTES, PORTION * share) + MINUTES


def test_parts_of_parts_are_named_after_the_job() -> None:
    part, rest = cut(job(60), 20, 1)
    assert rest is not None
    again, _ = cut(rest, 10, 2)
    moved, _ = cut(part, 10, 3)
    assert [each.name.partition("+") for each in (part, again, moved)] == [
        (job(1).name, "+", number) for number in ("1", "2", "3")
    ]


def sent(jobs: list[Job], hosts: list[Machine], dying: frozenset[str] = frozenset()) -> dict[str, list[Job]]:
    """The jobs and parts that each host ran, each for a moment; dying hosts fail with their first."""
    ran: dict[str, list[Job]] = {host.name: [] for host in hosts}

    async def run_job(job: Job, host: Place, devices: list[str]) -> None:
        await anyio.sleep(0)
        if host.name in dying:
            raise HostFaultError("died")
        ran[host.name].append(job)

    result = anyio.run(Dispatch(jobs, hosts).run, run_job)
    assert not result.undone
    return ran


def test_one_long_job_is_shared_by_all_hosts_of_its_kind_evenly() -> None:
    hosts = [Machine(f"host_{number}") for number in range(8)]
    ran = sent([job(800)], hosts)
    minutes = [sum(part.minutes for part in ran[host.name]) for host in hosts]
    assert sum(minutes) == pytest.approx(800 * MINUTES)
    assert max(minutes) < 1.1 * sum(minutes) / 8


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4), dying=st.integers(0, 2))
def test_every_case_runs_once_whatever_is_cut_and_whoever_dies(sizes: list[int], dying: int) -> None:
    jobs = [job(cases, f"owner/m{number}") for number, cases in enumerate(sizes)]
    hosts = [Machine(f"host_{number}") for number in range(4)]
    ran = sent(jobs, hosts, frozenset(host.name for host in hosts[:dying]))
    parts = [part for parts in ran.values() for part in parts]
    assert Counter(case.id for part in parts for case in part.cases) == Counter(
        case.id for each in jobs for case in each.cases
    )
    assert len({part.name for part in parts}) == len(parts)


def test_a_single_host_gets_each_job_in_few_parts() -> None:
    (parts,) = sent([job(40, f"owner/m{number}") for number in range(3)], [Machine("one")]).values()
    assert len(parts) <= 3 * 3


def test_a_host_that_has_a_model_goes_on_with_it() -> None:
    jobs = [job(40, "owner/a"), job(50, "owner/b")]
    (parts,) = sent(jobs, [Machine("one")]).values()
    models = [part.model for part in parts]
    assert models == sorted(models, key=models.index), "a model was left and taken up again"
