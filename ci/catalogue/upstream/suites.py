"""What an engine's own tests define, read out of its checkout without importing or running any of it.

The shapes are those of sgl-project/sglang: suites of test cases in `gpu_cases.py`, the sampling parameters that cases
of a task share, and the matrix of official cases in the workflow that makes ground truth.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...errors import DefinitionsError
from .static import Function, Scope, Tree
from .static_values import Record, Source, as_json

TESTS = "sglang.multimodal_gen.test.server"
CASES = f"{TESTS}.gpu_cases"  # the suites
CONFIGS = f"{TESTS}.testcase_configs"  # what cases share
WORKFLOW = Path(".github/workflows/diffusion-ci-gt-gen.yml")
# Ground truth is made on NVIDIA GPUs.
PLATFORM = {f"current_platform.is_{name}": name == "cuda" for name in ("cuda", "hip", "npu", "musa", "xpu", "mps")}
CASE_ID = r"[A-Za-z0-9][A-Za-z0-9._-]*"
DEFAULTS = "get_default_sampling_params_for_model_task"

Definition = Mapping[str, Any]  # JSON; `{"python": text}` where reading does not resolve an expression


@dataclass(frozen=True)
class Definitions:
    """The suites of an engine: case ids and their definitions. `unread` says what may be missing in them."""

    suites: Mapping[str, Mapping[str, Definition]]
    unread: Sequence[str]
    official: frozenset[str] | None  # ids of the official matrix; None where the checkout holds none that can be read

    def case(self, name: str) -> tuple[str, Definition] | None:
        """The first suite that defines a case, and how."""
        return next(((suite, cases[name]) for suite, cases in self.suites.items() if name in cases), None)


def read(checkout: Path, suites: Sequence[str]) -> Definitions:
    """Read these suites. Raises DefinitionsError where the folder does not look like a checkout of sglang."""
    tree = Tree(checkout / "python", PLATFORM)
    module = tree.module(CASES)
    if module is None:
        raise DefinitionsError(
            f"{checkout} has no python/{CASES.replace('.', '/')}.py that can be read; give a checkout of "
            "sgl-project/sglang (git clone https://github.com/sgl-project/sglang)"
        )
    shared = _shared(tree)
    entries = {suite: list(_entries(tree, module, suite)) for suite in suites}
    found = {suite: dict(_cases(of_suite, shared)) for suite, of_suite in entries.items()}
    if not any(found.values()):
        raise DefinitionsError(
            f"{checkout} defines no case that can be read in the suites {', '.join(suites)}; "
            "either they are gone, or its tests have a shape that is not known here"
        )
    unread = [f"{suite}: {_text(entry)}" for suite, each in entries.items() for entry in each if not _is_case(entry)]
    return Definitions(found, unread, _official(tree, checkout / WORKFLOW))


def _entries(tree: Tree, module: Scope, suite: str) -> Iterator[Any]:
    """What stands in a suite's lists of cases: each is given with its test file, or by the name of the file alone."""
    groups, files = module.get("PARAMETRIZED_CASE_GROUPS"), module.get("FILE_SUITES")
    if isinstance(groups, dict) and suite in groups:
        of_suite = groups[suite]
        for group in of_suite if isinstance(of_suite, list) else [of_suite]:
            yield from group[1] if _is_group(group) else [group]
    elif isinstance(files, dict) and suite in files:
        of_suite = files[suite]
        for file in of_suite if isinstance(of_suite, list) else [of_suite]:
            test = tree.module(f"{TESTS}.{Path(file).stem}") if isinstance(file, str) else None
            yield from _imported(test) if test is not None else [Source(f"the cases of {as_json(file)}")]


def _is_group(group: Any) -> bool:
    return isinstance(group, list) and len(group) == 2 and isinstance(group[1], list)  # noqa: PLR2004  # file and cases


def _imported(test: Scope) -> Iterator[Any]:
    """The entries of every list of cases that a test file imports."""
    for name in list(test.names):
        value = test.get(name)
        if isinstance(value, list) and any(_is_case(entry) for entry in value):
            yield from value


def _is_case(entry: Any) -> bool:
    return isinstance(entry, Record) and re.fullmatch(CASE_ID, str(entry.fields.get("id"))) is not None


def _text(entry: Any) -> str:
    return entry.text if isinstance(entry, Source) else json.dumps(as_json(entry))


def _cases(entries: Sequence[Any], shared: Mapping[str, Any]) -> Iterator[tuple[str, Definition]]:
    for entry in filter(_is_case, entries):
        definition = {key: as_json(value) for key, value in entry.fields.items() if key != "id"}
        if definition.get("sampling_params") is None:
            definition["default_sampling_params"] = shared
        yield entry.fields["id"], definition


def _shared(tree: Tree) -> dict[str, Any]:
    """The sampling parameters of cases that have none of their own, by task.

    Which task it is, the engine finds out when it runs, from the model's own files.
    """
    module = tree.module(CONFIGS)
    function = module.get(DEFAULTS) if module is not None else None
    return dict(_by_task(function)) if isinstance(function, Function) else {}


def _by_task(function: Function) -> Iterator[tuple[str, Any]]:
    for statement in function.node.body:
        match statement:
            case ast.If(test=ast.Compare(comparators=[tasks]), body=[ast.Return(value=ast.expr() as value)]):
                named = [node.attr for node in ast.walk(tasks) if isinstance(node, ast.Attribute)]
                yield from ((task, as_json(function.scope.value(value))) for task in named)


def _official(tree: Tree, workflow: Path) -> frozenset[str] | None:
    """The case ids of the official groups, which stand as a Python dict in a step of the workflow."""
    try:
        jobs = yaml.safe_load(workflow.read_bytes())["jobs"].values()
        scripts = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    for script in map(str, scripts):
        for inline in re.finditer(r"<<-?\s*['\"]?(\w+)['\"]?\n(.*?)^\s*\1\s*$", script, re.DOTALL | re.MULTILINE):
            module = tree.read(textwrap.dedent(inline[2]), str(workflow))
            groups = module.get("groups") if module is not None else None
            if isinstance(groups, dict) and groups and all(isinstance(names, list) for names in groups.values()):
                return frozenset(name for names in groups.values() for name in names if isinstance(name, str))
    return None
