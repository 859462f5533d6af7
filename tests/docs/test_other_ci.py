"""docs/ci/other.md: its examples and tables name the inputs of the template, and the settings of the other files."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.conftest import ROOT
from tests.support.pages import DOCS, blocks

PAGE = DOCS / "ci" / "other.md"
INPUTS = next(yaml.safe_load_all((ROOT / "templates" / "gt.yml").read_text()))["spec"]["inputs"]


def test_examples_name_inputs_that_the_template_has() -> None:
    examples = [yaml.safe_load(block.text) for block in blocks("yaml", page=PAGE)]
    assert len(examples) == 2
    for example in examples:
        (include,) = example["include"]
        assert {name for name, each in INPUTS.items() if "default" not in each} <= include["inputs"].keys()
        assert include["inputs"].keys() <= INPUTS.keys()
        assert re.search(r"/gt@v1$|/v1/templates/gt\.yml$", include.get("component") or include["remote"])


def test_the_table_has_every_input() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    assert INPUTS.keys() <= {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}


@pytest.mark.parametrize("file", ["buildkite/pipeline.yml", "jenkins/Jenkinsfile"])
def test_the_other_table_has_every_setting_that_a_user_gives(file: str) -> None:
    told = set(re.findall(r"`(GT_[A-Z_]+)`", "".join(re.findall(r"^\| `GT_.*$", PAGE.read_text(), re.MULTILINE))))
    text = (ROOT / "examples" / file).read_text()
    given = r"\$\$\{(GT_[A-Z_]+)|^  (GT_MODULE):|name: '(GT_[A-Z_]+)'"
    found = {name for groups in re.findall(given, text, re.MULTILINE) for name in groups if name}
    assert found - {"GT_PUBLISH_TOKEN"} == told
