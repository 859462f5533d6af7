"""The examples for the Daggerverse: each is shown beside the function in its name."""

from __future__ import annotations

import ast
import json

import pytest

from tests.conftest import ROOT
from tests.support.interface import functions

EXAMPLES = ast.parse((ROOT / "examples" / "python" / "examples" / "__init__.py").read_text())
METHODS = {node.name: node for node in ast.walk(EXAMPLES) if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)}


@pytest.mark.parametrize("name", METHODS)
def test_an_example_is_named_after_the_function_that_it_calls(name: str) -> None:
    address, _, title = name.partition("__")
    assert title, "the Daggerverse takes what follows two underscores for the example's name"
    calls = {
        node.func.attr: {keyword.arg for keyword in node.keywords}
        for node in ast.walk(METHODS[name])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Call)
        and isinstance(node.func.value.func, ast.Attribute)
        and node.func.value.func.attr == "diffusion_gt"
    }
    function = address.removeprefix("diffusion_gt").removeprefix("_")
    assert function in calls or (not function and calls), calls
    for verb, options in calls.items():
        interface = functions()[verb.replace("_", "-")]
        assert {f"--{option}".replace("_", "-") for option in options if option} <= interface.keys(), verb


@pytest.mark.parametrize("folder", ["examples/python", "tests/module"])
def test_the_modules_beside_the_main_one_are_of_its_version_and_depend_on_it(folder: str) -> None:
    ours, theirs = (json.loads((ROOT / place / "dagger.json").read_text()) for place in (".", folder))
    assert theirs["engineVersion"] == ours["engineVersion"]
    places = {each["name"]: (ROOT / folder / each["source"]).resolve() for each in theirs["dependencies"]}
    assert places[ours["name"]] == ROOT
