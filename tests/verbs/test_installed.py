"""The promise of an installed `gt`: it brings its case files along."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ci import ROOT
from ci.catalogue.files import Catalogue


def test_an_installed_gt_finds_the_cases_that_it_ships(tmp_path: Path, catalogue: Catalogue) -> None:
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    command = ["uv", "run", "--quiet", "--isolated", "--no-project", "--with", str(wheel), "gt"]
    answer = subprocess.run([*command, "cases", "list"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.split() == list(catalogue.cases)
