"""The promises of dispatch: each case once, on a host that suits, the longest job first, on after a fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.plan.host import Host
from ci.plan.jobs import Job, plan
from ci.plan.nvidia import Card
from ci.run.hosts.dispatch import MOST_MOVES, Dispatch, HostFaultError, Place, homeless, parts
from tests.support.factory import case


def place(name: str, kind: str = "h100", gpus: int = 1) -> Place:
    cards = tuple(Card(f"GPU-{number}", str(number), kind, 80.0, 132) for number in range(gpus))
    return Place(name, Host(kind, gpus, cards=cards))


def jobs_of(*kinds: str, cases: int = 1) -> list[Job]:
    """A job of so many cases for each kind, each of another model."""
    return plan(
        [case(f"m{n}_{k}", f"owner/model_{n}", kind) for n, kind in enumerate(kinds) for k in range(cases)],
    )


class Ran:
    """Runs jobs that take a moment; `victims` are places that fail with their first."""

    def __init__(self, jobs: Sequence[Job], places: Sequence[Place], victims: Sequence[str] = ()) -> None:
        self.places: dict[str, list[str]] = {
            place.name: [] for place in places
        }  # the cases that each one ran, in order
        self._busy: set[tuple[str, str]] = set()
        self._victims = victims
        self.dispatch = Dispatch(jobs, places)
        anyio.run(self.dispatch.run, self._run)

    async def _run(self, job: Job, place: Place, devices: list[str]) -> None:
        assert place.suits(job)
        assert len(devices) == (0 if job.gpu == "cpu" or not place.machine.cards else job.gpus)
        cards = {(place.name, device) for device in devices}
        assert not self._busy & cards, "two jobs on one GPU"
        self._busy |= cards
        await anyio.sleep(0)
        self._busy -= cards
        if place.name in self._victims:
            raise HostFaultError("died")
        self.places[place.name] += [case.id for case in job.cases]

    @property
    def cases(self) -> Counter[str]:
        """How often each case ran."""
        return Counter(case for cases in self.places.values() for case in cases)


kinds = st.lists(st.sampled_from(["h100", "h200", "any"]), max_size=8)
some_places = st.lists(st.tuples(st.sampled_from(["h100", "h200"]), st.integers(1, 4)), max_size=5).map(
    lambda rows: [place(f"host_{number}", *each) for number, each in enumerate(rows)]
)


@given(kinds=kinds, cases=st.integers(1, 9), places=some_places, data=st.data())
def test_every_case_runs_once_on_a_host_that_suits_or_is_undone_whoever_dies(
    kinds: list[str], cases: int, places: list[Place], data: st.DataObject
) -> None:
    jobs = jobs_of(*kinds, cases=cases)
    victims = data.draw(st.lists(st.sampled_from([each.name for each in places]), unique=True)) if places else []
    ran = Ran(jobs, places, victims)
    leftovers = Counter(case.id for job, _ in ran.dispatch.leftovers for case in job.cases)
    assert ran.cases + leftovers == Counter(case.id for job in jobs for case in job.cases)
    if not victims:
        assert leftovers == Counter(case.id for job in homeless(jobs, places) for case in job.cases)
        assert not ran.dispatch.moves


def test_the_longest_job_goes_first() -> None:
    jobs = [*jobs_of("h100", "h100", "h100"), *plan([case(f"l{n}", "owner/long", "h100") for n in range(5)])]
    assert Ran(jobs, [place("one")]).places["one"][0] == "l0"


def test_a_fault_moves_the_job_and_says_from_where_and_why() -> None:
    ran = Ran(jobs_of("h100"), [place("bad", gpus=2), place("good")], ["bad"])  # the one with most free GPUs is first
    assert ran.places == {"bad": [], "good": ["m0_0"]}
    assert [(move.cases, move.host, move.reason) for move in ran.dispatch.moves] == [(["m0_0"], "bad", "died")]


def test_a_job_that_brings_hosts_down_is_not_sent_around_for_ever() -> None:
    names = [f"host_{number}" for number in range(10)]
    ran = Ran(jobs_of("h100"), [place(name) for name in names], names)
    assert len(ran.dispatch.moves) == MOST_MOVES
    ((_, reason),) = ran.dispatch.leftovers
    assert reason == "no further host is tried: " + "; ".join(f"{name}: died" for name in names[: MOST_MOVES + 1])


def test_a_job_goes_to_its_kind_alone_and_one_for_any_goes_anywhere_with_enough_gpus() -> None:
    h100, cpu = place("a", "h100", 2), place("b", "cpu", 0)
    needs_h100, needs_any = jobs_of("h100", "any")
    assert [each.suits(needs_h100) for each in (h100, cpu)] == [True, False]
    assert [each.suits(needs_any) for each in (h100, cpu)] == [True, True]
    assert not h100.suits(plan([case("big", gpu="h100", gpus=4)])[0])
    (on_cpu,) = plan([case("big", gpu="h100", gpus=4)], on="cpu")
    assert Ran([on_cpu], [cpu]).places == {"b": ["big"]}


def test_a_job_that_no_host_was_left_for_says_what_they_died_of_under_other_jobs() -> None:
    ran = Ran(jobs_of(*["h100"] * 5), [place("a"), place("b"), place("c", "h200")], victims=["a", "b", "c"])
    assert len(ran.dispatch.leftovers) == 5
    assert {reason for _, reason in ran.dispatch.leftovers} == {"no host is left for it: a: died; b: died"}


@pytest.mark.parametrize("kinds", [["any"], ["h100", "any"]])
def test_without_any_host_every_job_is_undone(kinds: list[str]) -> None:
    assert {reason for _, reason in Ran(jobs_of(*kinds), []).dispatch.leftovers} == {"no host is left for it"}


def test_a_long_job_is_shared_evenly_by_the_gpus_of_its_kind_and_a_short_one_stays_whole() -> None:
    places = [place("two", gpus=2), place("one"), place("other", "h200", gpus=4)]
    assert [len(job.cases) for job in parts(jobs_of("h100", cases=30), places)] == [10, 10, 10]
    assert [len(job.cases) for job in parts(jobs_of("h100", cases=2), places)] == [2]  # 3 minutes
    assert sorted(map(len, Ran(jobs_of("h100", cases=30), places).places.values())) == [0, 10, 20]
