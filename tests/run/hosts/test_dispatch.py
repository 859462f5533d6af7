"""The promises of dispatch: every job on a host of its kind, the longest first, moved on a fault, none run twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.plan.jobs import Job, plan
from ci.run.hosts.dispatch import MOST_MOVES, Dispatch, Dispatched, HostFaultError, Place, homeless, suits
from tests.support.factory import case

KINDS = ("h100", "h200", "any")


@dataclass(frozen=True)
class Machine:
    """A host."""

    name: str
    kind: str
    gpus: int = 1


def jobs_of(kinds: Sequence[str]) -> list[Job]:
    return plan([case(f"case_{number}", f"owner/model_{number}", kind) for number, kind in enumerate(kinds)])


def dispatch(
    jobs: Sequence[Job], hosts: Sequence[Machine], dying: frozenset[str] = frozenset()
) -> tuple[Dispatched, Counter[str]]:
    """Run jobs that take a moment; `dying` hosts fail with their first."""
    done: Counter[str] = Counter()
    busy: set[tuple[str, str]] = set()

    async def run_job(job: Job, host: Place, devices: list[str]) -> None:
        taken = {(host.name, device) for device in devices}
        assert len(taken) == (0 if job.gpu == "cpu" else job.gpus)
        assert not busy & taken, "two jobs on one GPU"
        busy.update(taken)
        await anyio.sleep(0)
        busy.difference_update(taken)
        if host.name in dying:
            raise HostFaultError("died")
        done[job.name] += 1

    return anyio.run(Dispatch(jobs, hosts).run, run_job), done


def undone(result: Dispatched) -> set[str]:
    return {each.job.name for each in result.undone}


some_jobs = st.lists(st.sampled_from(KINDS), max_size=12).map(jobs_of)
some_hosts = st.lists(st.tuples(st.sampled_from(["h100", "h200"]), st.integers(1, 4)), max_size=5).map(
    lambda drawn: [Machine(f"host_{number}", *parts) for number, parts in enumerate(drawn)]
)


@given(jobs=some_jobs, hosts=some_hosts, data=st.data())
def test_every_job_runs_once_on_a_host_that_suits_or_is_named_undone(
    jobs: list[Job], hosts: list[Machine], data: st.DataObject
) -> None:
    dying = frozenset(data.draw(st.lists(st.sampled_from([host.name for host in hosts]))) if hosts else [])
    result, done = dispatch(jobs, hosts, dying)
    assert set(done.values()) <= {1}
    assert done.keys() | undone(result) == {job.name for job in jobs}
    assert not done.keys() & undone(result)
    assert result.ran.keys() == done.keys()
    by_name = {host.name: host for host in hosts}
    assert all(suits(job, by_name[result.ran[job.name]]) for job in jobs if job.name in result.ran)
    assert not set(result.ran.values()) & dying


@given(jobs=some_jobs, hosts=some_hosts)
def test_without_faults_only_the_homeless_are_undone(jobs: list[Job], hosts: list[Machine]) -> None:
    result, _ = dispatch(jobs, hosts)
    assert undone(result) == {job.name for job in homeless(jobs, hosts)}
    assert not result.moves


def test_the_longest_job_goes_first() -> None:
    jobs = jobs_of(["h100"] * 3)
    long = plan([case(f"case_l{number}", "owner/long", "h100") for number in range(5)])
    order: list[str] = []

    async def run_job(job: Job, host: Place, devices: list[str]) -> None:
        order.append(job.name)

    anyio.run(Dispatch([*jobs, *long], [Machine("one", "h100")]).run, run_job)
    assert order[0] == long[0].name


def test_a_fault_moves_the_job_and_says_from_where_and_why() -> None:
    jobs = jobs_of(["h100"])
    result, done = dispatch(jobs, [Machine("bad", "h100"), Machine("good", "h100")], frozenset({"bad"}))
    assert done[jobs[0].name] == 1
    assert result.ran == {jobs[0].name: "good"}
    assert [(move.host, move.reason) for move in result.moves] in ([], [("bad", "died")])  # good may have been first


def test_a_job_that_brings_hosts_down_is_not_sent_around_for_ever() -> None:
    hosts = [Machine(f"host_{number}", "h100") for number in range(10)]

    async def run_job(job: Job, host: Place, devices: list[str]) -> None:
        await anyio.sleep(0)
        if job.gpu == "h100" and job.model == "owner/model_0":
            raise HostFaultError("died")

    result = anyio.run(Dispatch(jobs_of(["h100", *["h100"] * 5]), hosts).run, run_job)
    assert len(result.moves) == MOST_MOVES
    (left,) = result.undone
    assert left.reason.count("died") == MOST_MOVES + 1
    assert len(result.ran) == 5


def test_a_job_goes_to_its_kind_alone_and_one_for_any_goes_anywhere_with_enough_gpus() -> None:
    h100, cpu = Machine("a", "h100", 2), Machine("b", "cpu", 0)
    (needs_h100,), (needs_any,) = jobs_of(["h100"]), jobs_of(["any"])
    assert [suits(needs_h100, host) for host in (h100, cpu)] == [True, False]
    assert [suits(needs_any, host) for host in (h100, cpu)] == [True, True]
    assert not suits(plan([case("big", gpu="h100", gpus=4)])[0], h100)
    (on_cpu,) = plan([case("big", gpu="h100", gpus=4)], on="cpu")
    assert suits(on_cpu, cpu)
    assert dispatch([on_cpu], [cpu])[0].ran == {on_cpu.name: "b"}


@pytest.mark.parametrize("kinds", [["any"], ["h100", "any"]])
def test_without_any_host_every_job_is_undone(kinds: list[str]) -> None:
    result, _ = dispatch(jobs_of(kinds), [])
    assert {each.reason for each in result.undone} == {"no host is left for it"}
