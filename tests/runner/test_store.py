"""The promises of a result's key: another card is another result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from gt_runner.contract import Case, Fetched, Job
from gt_runner.errors import SourceError
from gt_runner.store import case_key
from gt_runner.work import record

CASE = cast("Case", {"id": "a", "source": "smoke", "model": {}, "base": "/x"})
FETCHED = cast("Fetched", {"repositories": {}, "code": None, "code_identity": None, "inputs": []})
NAME, OTHER = "NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe"
SXM, PCIE = {"name": NAME, "multiprocessors": 132}, {"name": OTHER, "multiprocessors": 114}


def job(kind: str, card: dict[str, Any] | None) -> Job:
    return cast("Job", {"gpu_kind": kind, "device": "cuda", **({} if card is None else {"card": card})})


def test_the_kind_the_cards_name_and_its_multiprocessors_are_part_of_the_key() -> None:
    jobs = [
        job("h100", SXM),
        job("h200", SXM),
        job("h100", PCIE),
        job("h100", {**SXM, "multiprocessors": 114}),
        job("cpu", None),
    ]
    keys = [case_key(CASE, FETCHED, each) for each in jobs]
    assert len(set(keys)) == len(jobs)
    assert case_key(CASE, FETCHED, job("h100", dict(SXM))) == keys[0]


def answering(name: str, count: int | None) -> Callable[[], tuple[str | None, int | None, int | None]]:
    return lambda: (name, 80, count)


def test_a_case_that_ran_on_another_card_than_its_key_names_fails() -> None:
    for counted in (132, None):  # nvidia-smi does not count
        assert record.gpu(job("h100", SXM), answering(NAME, counted))["multiprocessors"] == 132
    for name, count in ((OTHER, 132), (NAME, 114)):
        with pytest.raises(SourceError, match="planned for NVIDIA H100 80GB HBM3 with 132 multiprocessors"):
            record.gpu(job("h100", SXM), answering(name, count))
