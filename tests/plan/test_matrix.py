"""The promises of the CI matrix: what a CI reads, each case once however few entries there may be, in linear time."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue.files import Catalogue
from ci.catalogue.model import Case
from ci.catalogue.selection import Selection, select
from ci.errors import GtError
from ci.plan.jobs import SEVERAL, Job, plan
from ci.plan.matrix import data_of, grouped, grouping
from tests.plan.test_jobs import some_cases
from tests.support.factory import case


def test_the_matrix_is_what_a_ci_reads(catalogue: Catalogue) -> None:
    entries = json.loads(json.dumps(data_of(plan(select(catalogue, Selection(official=True))))))
    assert list(entries) == ["include"]
    assert sum(entry["case_count"] for entry in entries["include"]) == 17
    flux = next(entry for entry in entries["include"] if entry["model"] == "black-forest-labs/FLUX.2-dev")
    assert flux == {
        "job": "diffusers-black-forest-labs--flux.2-dev-h200",
        "case_ids": "flux_2_image_t2i flux_2_ti2i",
        "case_count": 2,
        "source": "diffusers",
        "model": "black-forest-labs/FLUX.2-dev",
        "gpu": "h200",
        "gpus": 1,
        "runner": "8-gpu-h200",
        "minutes": 5.0,
    }


def kinds(jobs: list[Job]) -> set[tuple[str, str, int]]:
    return {(job.source, job.gpu, job.gpus) for job in jobs}


@given(cases=some_cases, per_case=st.booleans(), limit=st.integers(1, 12))
def test_a_matrix_under_a_limit_holds_each_case_once_on_the_runner_that_it_needs(
    cases: list[Case], per_case: bool, limit: int
) -> None:
    jobs = plan(cases, per_case=per_case)
    if limit < len(kinds(jobs)):
        with pytest.raises(GtError, match=f"need {len(kinds(jobs))} kinds of runner"):
            grouped(jobs, limit)
        return
    entries = grouped(jobs, limit)
    assert len(entries) == min(limit, len(jobs))
    assert len({entry.name for entry in entries}) == len(entries)
    places = {case.id: (entry.source, entry.gpu, entry.gpus) for entry in entries for case in entry.cases}
    assert places == {case.id: (job.source, job.gpu, job.gpus) for job in jobs for case in job.cases}
    assert sum(len(entry.cases) for entry in entries) == len(cases)
    assert (grouping(jobs, entries, limit) is None) == (entries == jobs)


def test_jobs_of_one_model_are_put_together_first() -> None:
    cases = [case(f"{model}_{number}", f"owner/{model}") for model in "abc" for number in range(100)]
    entries = grouped(plan(cases, per_case=True), 256)
    assert len(entries) == 256
    assert SEVERAL not in {entry.model for entry in entries}
    assert [entry.model for entry in grouped(plan(cases, per_case=True), 3)] == ["owner/a", "owner/b", "owner/c"]
    (entry,) = data_of(grouped(plan(cases, per_case=True), 1))["include"]
    assert (entry["case_count"], entry["model"]) == (300, SEVERAL)


def test_it_is_said_that_jobs_were_put_together() -> None:
    jobs = plan([case(f"case_{number}") for number in range(300)], per_case=True)
    note = "300 jobs were put together into 256 entries: a matrix holds at most 256"
    assert grouping(jobs, grouped(jobs, 256), 256) == note


def test_a_case_that_has_the_name_of_a_group_keeps_it() -> None:
    cases = [case(name) for name in ("one", "two", "one-and-more", "one-and-more-more")]
    names = [entry.name for entry in grouped(plan(cases, per_case=True), 3)]
    assert len(set(names)) == 3


def test_ten_thousand_jobs_are_put_together_in_less_than_two_seconds() -> None:
    jobs = plan([case(f"case_{number}", f"owner/model_{number % 500}") for number in range(10_000)], per_case=True)
    started = time.perf_counter()
    assert len(grouped(jobs, 256)) == 256
    assert time.perf_counter() - started < 2.0
