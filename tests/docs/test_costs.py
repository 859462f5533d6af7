"""The table of measured costs says what the case files say."""

from __future__ import annotations

import re

from ci.catalogue import files
from tests.support.pages import DOCS

PAGE = DOCS / "cases" / "costs.md"


def test_a_measured_case_needs_what_was_measured() -> None:
    cases = files.load().cases
    time, memory = ({name: float(last) for name, *_, last in table if name in cases} for table in tables())
    assert memory.keys() == time.keys() != set()
    needs = {name: cases[name].spec.needs for name in time}
    assert {name: need.minutes for name, need in needs.items()} == time
    assert {name: need.vram_gb for name, need in needs.items()} == memory


def tables() -> list[list[list[str]]]:
    """The cells of each table of the page."""
    found = re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [[line.strip("| ").split(" | ") for line in table.splitlines()] for table in found]
