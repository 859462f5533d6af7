"""The promises of reading an engine's definitions: all that stands there, nothing guessed, and nothing run."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci.catalogue.upstream import suites
from ci.catalogue.upstream.static import Scope, Tree
from ci.catalogue.upstream.static_values import as_json
from ci.catalogue.upstream.suites import Definitions
from ci.errors import DefinitionsError, GtError
from tests.support import sglang_definitions as stand_in
from tests.support.checkout import sglang_checkout

SUITES = ["1-gpu", "2-gpu", "1-gpu-b200"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return stand_in.write(tmp_path / "engine")


def read(checkout: Path) -> Definitions:
    return suites.read(checkout, SUITES)


def module(text: str) -> Scope:
    """The top level of a module of this text; it can import nothing."""
    scope = Tree(Path("/nowhere"), suites.PLATFORM).read(text, "text")
    assert scope is not None
    return scope


def value(text: str, name: str = "x") -> Any:
    return as_json(module(text).get(name))


def test_suites_are_read_with_all_that_their_definitions_lead_to(checkout: Path) -> None:
    found = read(checkout)
    assert {name: found.case(name) for cases in found.suites.values() for name in cases} == stand_in.DEFINITIONS
    assert found.unread == []
    assert list(found.suites["1-gpu"]) == ["fox_t2i", "fox_edit", "fox_local", "fox_quick"]  # as upstream has them


def test_the_official_matrix_is_read_where_the_checkout_has_it(checkout: Path) -> None:
    assert read(checkout).official == frozenset({"fox_t2i", "fox_edit", "fox_2gpu"})
    (checkout / stand_in.WORKFLOW).write_text("jobs: {plan: {steps: [{run: echo}]}}")
    assert read(checkout).official is None
    (checkout / stand_in.WORKFLOW).write_text("jobs: [")
    assert read(checkout).official is None
    (checkout / stand_in.WORKFLOW).unlink()
    assert read(checkout).official is None


def test_nothing_of_the_engine_is_run(checkout: Path) -> None:
    read(checkout)
    assert not list(checkout.rglob("was-run"))
    with pytest.raises(SystemExit):  # it would have shown
        exec(  # noqa: S102  # our own stand-in
            compile((checkout / stand_in.SERVER.parent / "test_utils.py").read_text(), "x", "exec"),
            {"__file__": str(checkout / "x.py")},
        )
    assert list(checkout.rglob("was-run"))


def test_what_is_not_understood_is_named_and_the_rest_still_stands(tmp_path: Path) -> None:
    loop = "for name in ('a', 'b'):\n    ONE_GPU_CASES.append(DiffusionTestCase(name, None))\n\nif not current_platform"
    changed = {stand_in.SERVER / "gpu_cases.py": ("if not current_platform", loop)}
    found = read(stand_in.write(tmp_path, changed))
    assert list(found.suites["1-gpu"]) == ["fox_t2i", "fox_edit", "fox_local", "fox_quick"]
    assert [text.splitlines()[0] for text in found.unread] == ["1-gpu: for name in ('a', 'b'):"]


@pytest.mark.parametrize(
    "text", ["", "cases = (", "\0", "PARAMETRIZED_CASE_GROUPS = {'1-gpu': 3}", "x = " + "(" * 5000]
)
def test_a_folder_that_is_no_checkout_of_sglang_is_refused_with_one_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        DefinitionsError, match=r"gpu_cases\.py that can be read; give a checkout of sgl-project/sglang"
    ):
        read(tmp_path)
    file = stand_in.write(tmp_path) / stand_in.SERVER / "gpu_cases.py"
    file.write_text(text)
    with pytest.raises(DefinitionsError, match="that can be read"):
        read(tmp_path)


def test_a_list_that_holds_itself_is_no_trap(tmp_path: Path) -> None:
    file = stand_in.write(tmp_path) / stand_in.SERVER / "gpu_cases.py"
    file.write_text(file.read_text() + "\nONE_GPU_CASES.append(ONE_GPU_CASES)\n")
    assert len(read(tmp_path).suites["1-gpu"]) == 4


constants = st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.floats(allow_nan=False) | st.text()
literals = st.recursive(
    constants, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(literals.filter(lambda literal: "inf" not in repr(literal)))
def test_a_literal_is_what_python_makes_of_it(literal: Any) -> None:
    assert value(f"x = {literal!r}") == ast.literal_eval(repr(literal)) == literal


@given(st.lists(literals, max_size=3), st.lists(literals, max_size=3), st.dictionaries(st.text(), literals, max_size=3))
def test_lists_and_dicts_are_put_together_as_python_does(
    one: list[Any], other: list[Any], names: dict[str, Any]
) -> None:
    text = f"a = {one!r}\nb = {other!r}\nx = [*a, *b]\ny = a + b\na += b\nz = a\nd = {names!r}\ne = {{**d, 'k': 1}}"
    if "inf" in text:
        return
    expected: dict[str, Any] = {}
    exec(text, expected)  # noqa: S102  # literals
    assert {name: value(text, name) for name in "xyze"} == {name: expected[name] for name in "xyze"}


def _forms(*templates: str) -> Callable[[st.SearchStrategy[str]], st.SearchStrategy[str]]:
    """Each template with texts in its places."""

    def filled(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(*(st.builds(form.format, *[inner] * form.count("{}")) for form in templates))

    return filled


expressions = st.recursive(
    st.sampled_from(["x", "y", "f", "1", "0", "'a'", "None", "True", "[]", "{}", "open"]),
    _forms(
        *("({} + {})", "[{}, *{}]", "({}, {})", "{}({})", "{}[{}]", "{{'a': {}, **{}}}", "[{} for x in {}]"),
        *("[x for x in {} if {}]", "({} if {} else {})", "({} or {})", "({} and {})", "(not {})", "({} == {})"),
        *("({} in {})", "f'{{{}}}'", "str({})", "list({})", "dict({})", "json.dumps({})", "{}.append({})"),
    ),
    max_leaves=6,
)
statements = _forms(
    *("x = {}", "y = {}", "x += {}", "x.append({})", "x.extend({})", "{}", "if {}:\n    x = {}", "x[{}] = {}"),
    "def f(a, b={}):\n    y = [a, b]\n    return {}",
    "def f(a):\n    x.append(a)\n    return {}",
    "y = {}.pop({})",
    "y['a'] = {}",
    "def f(x):\n    if x:\n        return {}\n    return {}",
)(expressions)


@settings(max_examples=400, deadline=None)
@given(st.lists(statements, max_size=8))
def test_what_is_resolved_is_what_python_would_make_of_it(lines: list[str]) -> None:
    text = "import json\nx = []\ny = {'a': x}\n" + "\n".join(lines)
    scope = Tree(Path("/nowhere"), {}).read(text, "text")
    found = {name: as_json(scope.get(name)) for name in "xy"} if scope is not None else {}
    made: dict[str, Any] = {}
    try:
        exec(text, {"open": None}, made)  # noqa: S102  # of the pieces above
        expected = {name: json.loads(json.dumps(made[name])) for name in "xy"}
    except Exception:  # noqa: BLE001  # Python does not get through it, so there is nothing to compare with
        return
    for name in "xy":
        if "'python'" not in repr(found[name]):
            assert found[name] == expected[name]


@given(st.text(max_size=200))
def test_no_text_gives_an_exception(text: str) -> None:
    scope = Tree(Path("/nowhere"), {}).read(text, "text")
    for name in scope.names if scope is not None else {}:
        json.dumps(as_json(module(text).get(name))).encode()


@settings(deadline=None)
@given(st.data())
def test_no_damaged_checkout_gives_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    lines = stand_in.CASES.splitlines()
    kept = data.draw(st.lists(st.sampled_from(range(len(lines))), max_size=len(lines)))
    root = stand_in.write(tmp_path_factory.mktemp("damaged"))
    (root / stand_in.SERVER / "gpu_cases.py").write_text("\n".join(lines[position] for position in kept))
    with contextlib.suppress(GtError):
        json.dumps([dict(cases) for cases in read(root).suites.values()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = open('/etc/passwd')", {"python": "open('/etc/passwd')"}),
        ("x = [1, len([2])]", [1, {"python": "len([2])"}]),
        ("y = 3\nx = f(y)", {"python": "f(3)"}),
        ("y = g()\nx = y + 'a'", {"python": "g() + 'a'"}),
        ("x = 1e999", {"python": "1e309"}),
        ("x = b'a'", {"python": "b'a'"}),
        ("x = '\\ud800'", {"python": "'\\ud800'"}),
        ("x = x", {"python": "x"}),
        ("def f(a):\n    return f(a)\nx = f(1)", {"python": "f(1)"}),
        ("def f(a, b=2, *, c):\n    d = [a, b]\n    return d + [c]\nx = f(1, c=3)", [1, 2, 3]),
        ("def f(a):\n    import os\n    del os\n    return a\nx = f(1)", {"python": "f(1)"}),
        ("x = ['a' if 1 in [1] else 'b', not 0, -3, (1, 2)[1]]", ["a", True, -3, 2]),
        ("x = [0]\nfor y in z:\n    x.append(y)", [0, {"python": "for y in z:\n    x.append(y)"}]),
        ("x = {'a': 1}\nx['b'] = 2", {"a": 1, "…": {"python": "x['b'] = 2"}}),
        ("x = {'a': 1}\nx |= y", {"a": 1, "…": {"python": "x |= y"}}),
        ("y = []\nx = [y]\nz = y.pop()", [[{"python": "y.pop()"}]]),
        ("y = {}\nx = [y]\nx[0]['a'] = 1", [{}, {"python": "x[0]['a'] = 1"}]),
        ("x = [1]\ny = [x for x in z]", [1]),
        ("x = [1]\nchange(x)", [1, {"python": "change(x)"}]),
        ("x = [1]\nif unknown():\n    x = [2]", [1, {"python": "if unknown():\n    x = [2]"}]),
        ("x = 1\nif current_platform.is_cuda():\n    x = 2", 2),
        (
            "try:\n    x = 1\nexcept ValueError:\n    x = 2",
            {"python": "try:\n    x = 1\nexcept ValueError:\n    x = 2"},
        ),
        ("x = 'a' * 3", {"python": "'a' * 3"}),
        ("from made.up import x", {"python": "x"}),
        ("x = f'{1:>3}'", {"python": "f'{1:>3}'"}),
        ("y = 'a'\nx = f'{y}-{3}'", "a-3"),
    ],
)
def test_what_is_resolved_and_what_is_kept_as_text(text: str, expected: Any) -> None:
    assert value(text) == expected


def test_what_grows_without_bound_is_kept_as_text() -> None:
    for start in ("['a']", "'a'"):
        found = value(f"x = {start}\n" + "x = x + x\n" * 60)
        assert found.keys() == {"python"}
        assert len(found["python"]) < 5_000


def test_an_upstream_checkout_is_read_whole() -> None:
    found = read(sglang_checkout(stand_in.SERVER / "gpu_cases.py"))
    assert all(found.suites[suite] for suite in SUITES)
    assert found.unread == []
    for cases in found.suites.values():
        for definition in cases.values():
            assert isinstance(definition["server_args"]["model_path"], str)
            parameters = definition.get("sampling_params") or definition["default_sampling_params"]["T2I"]
            assert isinstance(parameters["prompt"], str)
