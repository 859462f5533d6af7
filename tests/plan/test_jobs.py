"""The promises of planning: one job for what one loaded model can run, nothing lost, nothing twice, in linear time."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue.files import Catalogue
from ci.catalogue.model import Case
from ci.catalogue.selection import Selection, select
from ci.plan.jobs import plan, spread
from tests.support.factory import case

some_cases = st.lists(
    st.tuples(
        st.sampled_from(["a/x", "a/y", "b/x"]), st.sampled_from(["any", "h100", "h200"]), st.sampled_from([1, 2])
    ),
    min_size=1,
    max_size=30,
).map(lambda rows: [case(f"case_{number}", *parts) for number, parts in enumerate(rows)])


@given(cases=some_cases, per_case=st.booleans())
def test_every_case_is_in_exactly_one_job(cases: list[Case], per_case: bool) -> None:
    jobs = [one.id for job in plan(cases, per_case=per_case) for one in job.cases]
    assert sorted(jobs) == sorted(one.id for one in cases)


@given(cases=some_cases)
def test_a_job_holds_cases_of_one_source_model_gpu_kind_and_gpu_count(cases: list[Case]) -> None:
    for job in plan(cases):
        kinds = {(c.source, c.model, c.spec.needs.gpu, c.spec.needs.gpus) for c in job.cases}
        assert kinds == {(job.source, job.model, job.gpu, job.gpus)}


@given(cases=some_cases, per_case=st.booleans())
def test_job_names_are_unique(cases: list[Case], per_case: bool) -> None:
    jobs = plan(cases, per_case=per_case)
    assert len({job.name for job in jobs}) == len(jobs)


@given(cases=some_cases)
def test_the_longest_job_comes_first(cases: list[Case]) -> None:
    minutes = [job.minutes for job in plan(cases)]
    assert minutes == sorted(minutes, reverse=True)


def test_cases_that_are_moved_to_another_kind_meet_in_one_job() -> None:
    jobs = plan([case("one", gpu="h100"), case("two", gpu="h200")], on="b200")
    assert [(job.gpu, job.runner_label, len(job.cases)) for job in jobs] == [("b200", "4-gpu-b200", 2)]


def test_ten_thousand_cases_are_planned_in_less_than_a_second() -> None:
    cases = [case(f"case_{number}", f"owner/model_{number % 500}") for number in range(10_000)]
    everything = Catalogue({one.id: one for one in cases}, {})
    started = time.perf_counter()
    jobs = plan(select(everything, Selection(official=True)))
    assert time.perf_counter() - started < 1.0
    assert len(jobs) == 500


def test_the_job_with_the_most_cases_is_split_while_gpus_would_idle() -> None:
    many = [case(f"many_{n}", repo="a/many") for n in range(6)]
    few = [case(f"few_{n}", repo="a/few") for n in range(2)]
    jobs = plan([*many, *few])
    assert spread(jobs, 0) == spread(jobs, 2) == jobs
    for gpus, sizes in ((3, [3, 3, 2]), (4, [2] * 4), (20, [1] * 8)):
        parts = spread(jobs, gpus)
        assert sorted((len(job.cases) for job in parts), reverse=True) == sizes
        assert sorted(each.id for job in parts for each in job.cases) == sorted(each.id for each in [*many, *few])
    pair = plan([case(f"pair_{n}", repo="a/pair", gpus=2) for n in range(4)])
    assert [len(job.cases) for job in spread(pair, 3)] == [4]
    assert [len(job.cases) for job in spread(pair, 4)] == [2, 2]
