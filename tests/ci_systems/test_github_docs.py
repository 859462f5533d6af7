"""docs/ci/github.md: its examples are valid, and name what the action has, all of it and nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.ci_systems.github import load, steps
from tests.ci_systems.test_lint import schema
from tests.conftest import ROOT
from tests.support.pages import DOCS, blocks

ACTION = load(ROOT / "action.yml")
SECTION = (DOCS / "ci" / "github.md").read_text().split("\n## The action\n")[1].split("\n## ")[0]


def examples() -> list[Any]:
    """Every YAML block of our pages that uses the action."""
    uses = [block for block in blocks("yaml") if "uses: OWNER/diffusion-gt@" in block.text]
    return [pytest.param(block.text, id=f"{block.page.name}-{number}") for number, block in enumerate(uses)]


def workflow(text: str) -> str:
    """An example as a whole workflow: some are a step, or jobs."""
    if re.match(r"on:|name:", text):
        return text
    if not text.startswith("jobs:"):
        indented = "".join(f"      {line}\n" for line in text.splitlines())
        text = f"jobs:\n  job:\n    runs-on: ubuntu-latest\n    steps:\n{indented}"
    return f"on: workflow_dispatch\n{text}"


@pytest.mark.parametrize("text", examples())
def test_an_example_is_a_workflow_that_names_inputs_and_outputs_of_the_action(
    text: str, tmp_path: Path, actionlint: str
) -> None:
    file = tmp_path / "example.yml"
    file.write_text(workflow(text))
    schema("vendor.github-workflows", file)
    done = subprocess.run([actionlint, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    used = [step for step in steps(YAML(typ="safe", pure=True).load(file)) if "diffusion-gt@" in step.get("uses", "")]
    assert used
    for step in used:
        assert set(step.get("with", {})) <= set(ACTION["inputs"])
    for output in re.findall(r"steps\.gt\.outputs\.([\w-]+)", text):
        assert output in ACTION["outputs"]


def test_there_are_examples() -> None:
    assert len(examples()) >= 3


def rows(head: str) -> list[list[str]]:
    """The cells of the table that starts with this head."""
    table = SECTION.split(f"| {head} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_page_tells_every_input_with_its_default_and_every_output() -> None:
    defaults = {name: row[1].strip("`") for row in rows("input") for name in re.findall(r"`([\w-]+)`", row[0])}
    assert defaults == {name: each["default"] for name, each in ACTION["inputs"].items()}
    outputs = {name for row in rows("output") for name in re.findall(r"`([\w-]+)`", row[0])}
    assert outputs == set(ACTION["outputs"])
