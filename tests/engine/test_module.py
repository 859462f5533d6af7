"""The module as Dagger sees it: what it is made of, what it offers, and containers to open a terminal in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.conftest import ROOT, Gt
from tests.engine.conftest import Call, Called, call_of, core, options_in
from tests.support.interface import functions


def test_the_engine_lists_the_functions_that_the_documents_are_checked_against_with_their_help(
    functions_listed: Called, help_of: Callable[[str], str]
) -> None:
    assert functions_listed.status == 0, functions_listed.err
    rows = dict(re.findall(r"^([a-z][a-z-]+) +(\S.*)$", functions_listed.out, re.MULTILINE))
    assert rows.keys() == functions().keys()
    assert "-" not in rows.values()  # what the CLI shows where nothing is documented
    lines = help_of("generate").split("ARGUMENTS")[-1].splitlines()
    options = [number for number, line in enumerate(lines) if line.strip().startswith("--")]
    assert options_in(help_of("generate")) >= functions()["generate"].keys()
    assert len(options) > 10
    assert all(any(following.strip() for following in lines[at + 1 : at + 3]) for at in options)


def test_the_modules_source_holds_what_runs_and_nothing_else(engine: str) -> None:
    listed = core("module-source", "--ref-string", str(ROOT), "context-directory", "glob", "--pattern", "**/*")
    files = listed.out.splitlines()
    tops = {path.split("/")[0] for path in files}
    assert tops == {"ci", "cases", "containers", "dagger.json", "pyproject.toml", "uv.lock", "README.md"}
    assert not [path for path in files if path.endswith(".pyc")]


def test_planning_says_the_same_with_and_without_an_engine(call: Call, gt: Gt) -> None:
    official = ("--official", "--source-group", "ltx")
    assert json.loads(call("matrix", *official).out) == json.loads(gt("matrix", *official).stdout)


def test_the_runner_of_a_source_is_a_container_to_work_in(call: Call) -> None:
    command = "with-exec", "--args", "python,-m,gt_runner,environment", "stdout"
    answer = json.loads(call("runner", "--source", "smoke", *command).out)
    assert answer.keys() == {"environment", "runner", "versions"}


@pytest.mark.long
def test_another_module_calls_it_and_its_examples_and_finds_what_callers_rely_on(engine: str) -> None:
    called = call_of(ROOT / "tests" / "module", "all")
    assert called.status == 0, called.err[-3000:]
