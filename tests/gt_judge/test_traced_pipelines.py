"""What the worked example promises: each change of a real pipeline is found at its stage."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gt_judge.diverge import trace as traces
from gt_judge.diverge.diverge import diverge
from gt_judge.diverge.walk import Options
from tests.conftest import ROOT

EXAMPLE = "examples/traces/changed_pipeline.py"
ROW = re.compile(r"^\| `(\w+)` \| `([\w.]+)` \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    path = {"PYTHONPATH": str(ROOT / "containers" / "runner"), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, ROOT / EXAMPLE, folder], env=path, check=True, capture_output=True, timeout=600)
    return folder


def test_each_change_of_the_example_is_found_where_the_page_says(written: Path) -> None:
    rows = ROW.findall((ROOT / "docs" / "judge" / "diverge.md").read_text())
    assert {change for change, *_ in rows} == {path.name for path in written.iterdir()} - {"reference"}
    for change, stage, words in rows:
        (case,) = diverge(traces.read(written / "reference"), traces.read(written / change), Options()).cases
        assert case.first is not None, change
        assert case.first.name == stage
        assert words in case.verdict, case.verdict
