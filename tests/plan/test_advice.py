"""What is said where nothing is selected, or nothing that runs here."""

from __future__ import annotations

import pytest

from ci.catalogue.files import Catalogue
from ci.catalogue.selection import Selection
from ci.plan import advice
from ci.plan.host import Host

NONE, H100 = Host("cpu"), Host("h100", 1, 85.9, "NVIDIA H100 80GB HBM3")
SMOKE = "--source-group smoke"


@pytest.mark.parametrize(
    ("machine", "lines"),
    [
        (
            NONE,
            [
                "this machine has no GPU",
                "0 of 17 cases can run here",
                "the rest needs h100 or h200, or --on any, for hours",
            ],
        ),
        (
            H100,
            [
                "1 x NVIDIA H100 80GB HBM3 (h100)",
                "9 of 17 cases can run here",
                "the rest needs h200, or --on any",
            ],
        ),
    ],
)
def test_each_way_to_select_cases_is_named_with_what_it_would_run_here(
    machine: Host, lines: list[str], catalogue: Catalogue
) -> None:
    text = advice.offers(catalogue, machine)
    assert all(line in text for line in [*lines, SMOKE, "--official", "--engine DIR"])
    assert max(map(len, text.splitlines())) <= 80


def test_a_way_that_the_case_files_do_not_have_is_not_offered(catalogue: Catalogue) -> None:
    official = {name: case for name, case in catalogue.cases.items() if case.official}
    text = advice.offers(Catalogue(official, {}), NONE)
    assert SMOKE not in text
    assert "--engine" not in text


def test_what_runs_here_all_the_same_is_named_instead(catalogue: Catalogue) -> None:
    [official, smoke] = advice.instead(catalogue, Selection(), H100)
    assert official == "--official selects 9 cases that can run here"
    assert smoke.startswith(SMOKE)
    assert advice.instead(catalogue, Selection(official=True), H100) == [smoke]
    assert advice.instead(catalogue, Selection(), NONE) == [smoke]
    assert advice.instead(Catalogue({}, {}), Selection(), NONE) == []
