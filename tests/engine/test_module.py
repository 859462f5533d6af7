"""The module as Dagger sees it: what it is made of, what it offers, and containers to open a terminal in."""

from __future__ import annotations

import json

import pytest

from tests.conftest import ROOT, Gt
from tests.engine.conftest import Call, dagger

FUNCTIONS = {"generate", "verdict", "matrix", "plan", "concurrency-key", "publish-target", "runner"}


def test_the_help_of_every_function_and_argument_is_there(call: Call) -> None:
    listed = dagger("functions", "-m", str(ROOT)).out
    rows = dict(line.split(maxsplit=1) for line in listed.splitlines() if len(line.split(maxsplit=1)) == 2)
    assert rows.keys() >= FUNCTIONS
    assert "-" not in rows.values()  # what the CLI shows where nothing is documented
    lines = call("generate", "--help").out.split("ARGUMENTS")[-1].splitlines()
    options = [number for number, line in enumerate(lines) if line.strip().startswith("--")]
    assert len(options) > 10
    assert all(any(following.strip() for following in lines[at + 1 : at + 3]) for at in options)


def test_the_modules_source_holds_what_runs_and_nothing_else(engine: None) -> None:
    listed = dagger(
        "core", "module-source", "--ref-string", str(ROOT), "context-directory", "glob", "--pattern", "**/*"
    )
    files = listed.out.splitlines()
    tops = {path.split("/")[0] for path in files}
    assert tops == {"ci", "cases", "containers", "dagger.json", "pyproject.toml", "uv.lock", "README.md"}
    assert not [path for path in files if path.endswith(".pyc")]


def test_planning_says_the_same_with_and_without_an_engine(call: Call, gt: Gt) -> None:
    official = ("--official", "--source-group", "ltx")
    assert json.loads(call("matrix", *official).out) == json.loads(gt("matrix", *official).stdout)
    inputs = ("--ref", "refs/heads/main", "--output-name", "out")
    assert call("concurrency-key", *inputs).out.strip() == gt("concurrency-key", *inputs).stdout.strip()


def test_the_runner_of_a_source_is_a_container_to_work_in(call: Call) -> None:
    command = "with-exec", "--args", "python,-m,gt_runner,environment", "stdout"
    answer = json.loads(call("runner", "--source", "smoke", *command).out)
    assert answer.keys() == {"environment", "runner", "versions"}


@pytest.mark.usefixtures("long")
def test_another_module_calls_it_and_its_examples_and_finds_what_callers_rely_on(engine: None) -> None:
    called = dagger("call", "-m", str(ROOT / "tests" / "module"), "all")
    assert called.status == 0, called.err[-3000:]
