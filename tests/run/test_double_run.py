"""The promises of the double run: twice the same is said, and so is by how much a case is not."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ci.artifact.records import CaseRecord
from ci.artifact.verdict import bad
from ci.catalogue.gpus import CPU
from ci.catalogue.model import Case
from ci.catalogue.official import DiffusersCase
from ci.catalogue.selection import Selection
from ci.plan import jobs
from ci.plan.generation import Generation
from ci.plan.host import Host
from ci.run import on_machine
from ci.run.on_machine import Outcome, Places
from gt_runner.supervise import second_run
from tests.support.factory import body
from tests.support.runs import FAULTY, faulty_case


@dataclass(frozen=True)
class FaultyCase(Case):
    """A case of the source that misbehaves as `behaviour` says."""

    behaviour: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        data = faulty_case(self.id, self.behaviour, **self.options)
        return {name: value for name, value in data.items() if name != "base"}


@pytest.fixture(autouse=True)
def _faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAULTY), os.environ.get("PYTHONPATH", "")]))


def case(name: str, behaviour: str = "", **options: Any) -> FaultyCase:
    return FaultyCase(
        name, "faulty", DiffusersCase.model_validate(body()), None, Path("faulty.yaml"), behaviour, options
    )


def generate(*cases: Case, **options: Any) -> Outcome:
    run = Generation(Selection(), cases, jobs.plan(cases), Host(CPU), **options)
    return on_machine.generate(run, Places(), lambda _: None, preflight=False)


def records(outcome: Outcome) -> dict[str, CaseRecord]:
    return outcome.manifest.cases


def test_what_comes_out_the_same_twice_is_reproducible_and_what_does_not_is_not_and_by_how_much() -> None:
    outcome = generate(case("seeded"), case("random", "unseeded"), case("global", "global"), verify=True)
    seeded, random = records(outcome)["seeded"], records(outcome)["random"]
    assert seeded.reproducible is True
    assert seeded.verification is not None
    assert seeded.verification.differences == []
    assert random.reproducible is False
    assert random.verification is not None
    (difference,) = random.verification.differences
    assert difference.name == "random_1gpu.png"
    assert difference.max_abs is not None
    assert difference.max_abs > 200
    assert difference.mean_abs == pytest.approx(85, abs=10)  # of two uniform draws: a third of 255
    assert records(outcome)["global"].reproducible is True
    assert bad(outcome.manifest) == {
        "random": f"not reproducible: random_1gpu.png differs by {difference.max_abs} at most"
    }


def test_the_second_time_is_in_another_process_with_another_nonce_and_the_artifact_holds_the_first() -> None:
    earlier = generate(case("one"))
    outcome = generate(case("one"), verify=True)
    record = records(outcome)["one"]
    assert outcome.manifest.run.made == ["one"]
    assert record.process is not None
    assert record.verification is not None
    second = record.verification.process
    assert second is not None
    assert len({record.process.id, second.id, records(earlier)["one"].process.id}) == 3  # type: ignore[union-attr]
    assert record.process.nonce
    assert second.nonce not in (None, record.process.nonce)
    third = generate(case("one"))
    assert records(third)["one"].process == record.process, "the second one must not take the first one's place"


def test_a_run_without_it_says_nothing_of_it() -> None:
    record = records(generate(case("one")))["one"]
    assert (record.reproducible, record.verification) == (None, None)


def test_a_case_that_leans_on_the_one_before_it_is_found_out(tmp_path: Path) -> None:
    outcome = generate(case("a", "after"), case("b", "after"), verify=True)
    assert [records(outcome)[name].reproducible for name in ("a", "b")] == [False, False]


def test_a_second_time_that_fails_is_not_the_same(tmp_path: Path) -> None:
    outcome = generate(case("once", "once", flag=str(tmp_path / "flag")), verify=True)
    record = records(outcome)["once"]
    assert (record.status, record.reproducible) == ("ok", False)
    assert record.verification is not None
    assert record.verification.reason == "ValueError: only once"


def test_a_case_that_fails_at_first_was_not_made_twice() -> None:
    record = records(generate(case("bad", "raise"), verify=True))["bad"]
    assert (record.status, record.reproducible) == ("failed", None)


def test_files_of_different_sizes_or_none_differ_by_no_number(tmp_path: Path) -> None:
    for name, size in (("first", 4), ("second", 5)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (size, 4)).save(tmp_path / name / "a.png")
        (tmp_path / name / "b.png").write_bytes(name.encode())
        Image.fromarray(np.full((2, 2, 3), size, np.uint8)).save(tmp_path / name / "c.png")
    record = {"process": None, "files": [{"name": "a.png"}, {"name": "b.png"}, {"name": "c.png"}]}
    differences = second_run.verification(record, tmp_path / "first", tmp_path / "second")["differences"]
    assert differences == [
        {"name": "a.png", "max_abs": None, "mean_abs": None},
        {"name": "b.png", "max_abs": None, "mean_abs": None},
        {"name": "c.png", "max_abs": 1, "mean_abs": 1.0},
    ]
