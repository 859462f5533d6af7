"""The promise of the dispatcher, simulated in virtual time on recorded case times: close to the best there could be."""

from __future__ import annotations

import math

import pytest

from bench import fleet
from bench.fleet import CALL_S, CASES, HOSTS, LOAD_S, Machine, Simulation

WITHIN = 1.10  # of the lower bound


@pytest.mark.parametrize("hosts", HOSTS)
def test_ten_thousand_cases_take_no_more_than_a_tenth_longer_than_the_lower_bound(hosts: int) -> None:
    assert 1 <= fleet.measure(CASES, hosts).ratio <= WITHIN


@pytest.mark.parametrize("hosts", [count for count in HOSTS if count // 4])
def test_when_a_quarter_of_the_hosts_die_the_rest_takes_their_work_over_as_well(hosts: int) -> None:
    assert 1 <= fleet.measure(CASES, hosts, dying=hosts // 4).ratio <= 1.15


@pytest.mark.parametrize("hosts", HOSTS)
def test_jobs_too_short_to_cut_end_as_soon_as_if_their_times_were_known_and_the_longest_went_first(hosts: int) -> None:
    work, seconds = fleet.planned(17)  # the official cases
    busy = [0.0] * hosts
    for job in sorted((CALL_S + LOAD_S + sum(seconds[case.id] for case in job.cases) for job in work), reverse=True):
        busy[busy.index(min(busy))] += job
    assert Simulation(seconds, fleet.fleet(hosts)).run(work) <= max(busy) * 1.05


def test_the_bound_is_what_simple_fleets_need() -> None:
    work, seconds = fleet.planned(1)
    alone = sum(seconds.values()) + CALL_S + LOAD_S
    assert fleet.lower_bound(work, seconds, [Machine("one")]) == pytest.approx(alone)
    assert Simulation(seconds, [Machine("one")]).run(work) == pytest.approx(alone)
    work, seconds = fleet.planned(340)
    dead = Machine("dead", dies=0.0)
    two = fleet.lower_bound(work, seconds, fleet.fleet(2))
    assert two == pytest.approx((sum(seconds.values()) + len(work) * (CALL_S + LOAD_S)) / 2)
    assert fleet.lower_bound(work, seconds, [dead, *fleet.fleet(2)]) == pytest.approx(two)
    with pytest.raises(ValueError, match="no host lives long enough"):
        fleet.lower_bound(work, seconds, [dead])


def test_a_host_that_dies_does_no_work_after_that_and_its_finished_cases_stay() -> None:
    work, seconds = fleet.planned(400)
    machines = [Machine("short", dies=600.0), Machine("long", dies=math.inf)]
    simulated = Simulation(seconds, machines)
    took = simulated.run(work)
    assert simulated.finished == seconds.keys()
    assert took > fleet.lower_bound(work, seconds, machines)
