"""The promises of splitting: no case lost, no GPU left idle by one long job, nothing cut that is short."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.jobs import Job, plan
from ci.split import LEAST_MINUTES, split
from tests.factory import case


@dataclass(frozen=True)
class Machine:
    """A host."""

    name: str
    kind: str
    gpus: int


def fleet(count: int, kind: str = "h100", gpus: int = 1) -> list[Machine]:
    return [Machine(f"host_{number}", kind, gpus) for number in range(count)]


def job(cases: int, model: str = "owner/model", kind: str = "h100") -> list[Job]:
    """One model's cases, 1.5 minutes each."""
    return plan([case(f"{model.split('/')[1]}_{number}", model, kind) for number in range(cases)])


some_jobs = st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["h100", "h200", "any"])), max_size=5).map(
    lambda drawn: [each for number, (count, kind) in enumerate(drawn) for each in job(count, f"owner/m{number}", kind)]
)


@given(jobs=some_jobs, hosts=st.integers(0, 40))
def test_every_case_is_in_just_one_part_under_a_name_of_its_own(jobs: list[Job], hosts: int) -> None:
    parts = split(jobs, fleet(hosts))
    assert Counter(case.id for part in parts for case in part.cases) == Counter(
        case.id for job in jobs for case in job.cases
    )
    assert len({part.name for part in parts}) == len(parts)
    assert all(part.cases for part in parts)
    models = {job.name: job for job in jobs}
    for part in parts:
        whole = models.get(part.name) or models[part.name.rpartition("+")[0]]
        assert (part.source, part.model, part.gpu, part.gpus) == (whole.source, whole.model, whole.gpu, whole.gpus)


def test_a_long_job_gives_every_gpu_of_its_kind_some_parts_of_equal_time() -> None:
    parts = split(job(800), fleet(10))  # 1,200 minutes
    assert len(parts) >= 20
    assert max(part.minutes for part in parts) - min(part.minutes for part in parts) <= 1.5


@pytest.mark.parametrize(("cases", "hosts"), [(8, 10), (1, 100), (400, 1)])
def test_what_is_short_or_has_one_gpu_alone_is_cut_into_few_or_no_parts(cases: int, hosts: int) -> None:
    parts = split(job(cases), fleet(hosts))
    assert all(part.minutes >= LEAST_MINUTES / 2 for part in parts) or len(parts) == 1
    assert len(parts) <= 3 * hosts


def test_hosts_of_another_kind_cut_nothing() -> None:
    assert split(job(400), fleet(20, "h200")) == split(job(400), fleet(1))
