"""The promises of putting a manifest together: whatever a runner says of a case, the others are delivered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci.artifact.assemble import manifest_of
from ci.catalogue.selection import Selection
from ci.plan.generation import Generation
from ci.plan.host import Host
from ci.plan.jobs import plan
from tests.support.factory import case
from tests.support.records import record


@pytest.mark.parametrize(
    "change", [{"word_of_a_later_version": 1}, {"files": [{"name": "one.png"}]}, {"status": "\x1b[2Jgood"}, {"key": 7}]
)
@pytest.mark.parametrize("event", ["done", "reused"])
def test_a_record_of_another_version_fails_its_case_alone(change: dict[str, Any], event: str) -> None:
    cases = [case("one"), case("two")]
    run = Generation(Selection(official=True), cases, plan(cases), Host("cpu"))
    whole = {name: json.loads(record(name, "ok").model_dump_json()) for name in ("one", "two")}
    whole["one"] |= change
    outcomes: Any = {name: {"event": event, "case": name, "record": each} for name, each in whole.items()}
    manifest = manifest_of(run, outcomes)
    one, two = manifest.cases["one"], manifest.cases["two"]
    assert (one.status, two.status) == ("failed", "ok")
    assert manifest.run.made == (["two"] if event == "done" else [])
    assert (one.reason or "").startswith("its runner's record is not as this version reads it: ")
    assert (one.reason or "").endswith("; use a runner image of this version")
    assert (one.reason or "").isprintable()
