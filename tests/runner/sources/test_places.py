"""The places that docs/cases/sources.md lists know every source."""

from __future__ import annotations

from importlib.util import find_spec
from typing import get_args

import pytest
import yaml

from ci.catalogue.files import Catalogue
from ci.catalogue.model import OurFile
from ci.catalogue.official import OFFICIAL_SOURCES
from ci.verbs.choices import Source
from gt_runner.sources import SOURCES
from gt_runner.work.trace import tracing
from tests.conftest import ROOT

GATE = ROOT / "containers" / "runner" / "gt_judge" / "check" / "gate.yaml"
# Each of these tells a user which groups there are.
GROUPS = ("action.yml", ".github/workflows/gt.yml", "templates/gt.yml", "docs/ci/github.md", "docs/run/options.md")


def test_the_lists_of_sources_hold_the_same_ones() -> None:
    files = {get_args(file.model_fields["source"].annotation)[0] for file in get_args(get_args(OurFile)[0])}
    modes = yaml.safe_load(GATE.read_text(encoding="utf-8"))["modes"][0]["sources"]
    assert files == {source.value for source in Source} == {*OFFICIAL_SOURCES, "smoke"} == set(modes) == set(SOURCES)


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_has_a_module_that_runs_it_and_one_that_finds_its_stages(source: str) -> None:
    watcher = tracing.WATCHERS.get(source, source)
    assert find_spec(f"gt_runner.sources.{source}") is not None
    assert find_spec(f"gt_runner.work.trace.{watcher}") is not None


@pytest.mark.parametrize("place", GROUPS)
def test_whoever_lists_the_groups_lists_all_of_them(place: str, catalogue: Catalogue) -> None:
    text = (ROOT / place).read_text(encoding="utf-8")
    groups = {group for case in catalogue.of("official").values() for group in case.spec.groups}
    assert sorted(group for group in groups if group not in text) == []
