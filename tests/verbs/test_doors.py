"""The promises of the two doors: one verb has one name, one help and one set of options, whoever asks."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import dagger
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from ci import ROOT, cli
from ci.catalogue.files import Catalogue
from ci.catalogue.gpus import ANY, CPU, GPU_KINDS
from ci.main import DiffusionGt
from ci.verbs.choices import GpuKind, Source
from ci.verbs.fields import fields, several
from ci.verbs.options import GT, OURS
from ci.verbs.plan import Plan
from gt_runner.sources import SOURCES

ONLY_ON_MACHINE = {"cache"}  # an engine has caches of its own, which `dagger core engine` shows and prunes
ONLY_ON_ENGINE = {"runner", "export", "metrics", "lint", "types", "tests", "schemas"}
FUNCTIONS: dict[str, Any] = DiffusionGt.__dagger_module__.get_object("DiffusionGt").functions  # type: ignore[attr-defined]


def commands() -> dict[str, Any]:
    """Every command of gt, by the name that its function has in the module."""
    group: Any = typer.main.get_command(cli.app)
    functions: dict[str, Any] = dict(group.commands)
    functions |= {f"cases-{name}": command for name, command in functions.pop("cases").commands.items()}
    return {name.replace("-", "_"): command for name, command in functions.items()}


COMMANDS = commands()


def test_each_verb_of_gt_is_a_function_of_the_module_and_the_other_way_round() -> None:
    assert COMMANDS.keys() - ONLY_ON_MACHINE == {name for name in FUNCTIONS if name} - ONLY_ON_ENGINE


def test_a_check_of_the_module_runs_tests_that_are_there() -> None:
    paths = re.findall(r"tests/[\w/.]+", (ROOT / "ci" / "main.py").read_text())
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@given(
    names=st.lists(st.from_regex(r"[a-z0-9._-]+", fullmatch=True), min_size=1),
    separator=st.sampled_from([" ", ",", ", ", "\n", " , "]),
)
def test_names_are_separated_by_spaces_or_commas_and_count_once(names: list[str], separator: str) -> None:
    (option,) = (each for each in fields(Plan) if each.name == "case_ids")
    assert several(option, [separator.join(names)]) == tuple(dict.fromkeys(names))


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - ONLY_ON_MACHINE))
def test_both_doors_give_a_verb_one_help_and_its_options_the_same_words_and_defaults_in_the_same_order(
    name: str,
) -> None:
    command, function = COMMANDS[name], FUNCTIONS[name]
    assert command.help == function.doc
    ours = {option.name: option for option in command.params if option.name != "help"}
    theirs = function.parameters
    names = [option for option in ours if option in theirs]
    assert names == [option for option in theirs if option in ours]
    for option in names:
        assert getattr(ours[option], "help", None) == theirs[option].doc, option
        on_this_machine = ours[option].default in (
            GT.address,
            OURS.address,
        )  # the module has it named, or is at home there
        if not on_this_machine:
            assert plain(ours[option].default) == plain(theirs[option].signature.default), option


def plain(default: Any) -> Any:
    """A default as both doors mean it."""
    missing = default is None or "Sentinel" in type(default).__name__ or getattr(default, "__name__", "") == "_empty"
    return None if missing else list(default) if isinstance(default, tuple) else getattr(default, "value", default)


def test_every_function_and_argument_is_documented() -> None:
    for name, function in FUNCTIONS.items():
        assert function.doc, name
        for parameter in function.parameters.values():
            assert parameter.doc, (name, parameter)
            assert "`" not in parameter.doc, "the CLI takes what stands in backticks for the value's placeholder"


def test_the_words_that_options_choose_from_are_the_cores(catalogue: Catalogue) -> None:
    assert {kind.value for kind in GpuKind} == {"needed", ANY, CPU, *GPU_KINDS}
    assert {source.value for source in Source} == set(SOURCES)
    doc = FUNCTIONS["generate"].parameters["source_group"].doc
    assert all(group in doc for group in catalogue.groups)


def test_engine_and_sdk_are_of_one_version() -> None:
    module = json.loads((ROOT / "dagger.json").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert f"dagger-io=={module['engineVersion'].removeprefix('v')}" in project["project"]["dependencies"]
    assert hasattr(dagger.Container, "experimental_with_gpu")
