"""docs/ci/other.md: its GitLab examples and its table name the inputs that the template has."""

from __future__ import annotations

import re

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
