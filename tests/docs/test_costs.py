"""The table of measured costs says what the case files say."""

from __future__ import annotations

from ci.catalogue import files
from tests.support.pages import DOCS

PAGE = DOCS / "cases" / "costs.md"


def test_a_measured_case_needs_what_was_measured() -> None:
    cases = files.load().cases
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    measured = {
        name: (float(vram_gb), float(minutes)) for name, *_, vram_gb, minutes in filter(_long, rows) if name in cases
    }
    assert measured
    needs = {name: cases[name].spec.needs for name in measured}
    assert {name: (need.vram_gb, need.minutes) for name, need in needs.items()} == measured


def _long(cells: list[str]) -> bool:
    return len(cells) > 2
