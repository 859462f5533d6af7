"""The promises of reading definitions: the text of a case, and of all that it names, whatever Python stands there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue.upstream import checkout as checkouts
from ci.catalogue.upstream.texts import CONFIGS, SUITES, WORKFLOW, Definition, definitions, official_ids
from tests.support import sglang_definitions as stand_in


def read(files: Mapping[PurePosixPath, str], tasks: Mapping[str, list[str]] | None = None) -> dict[str, Definition]:
    return definitions(lambda path: files[path].encode() if path in files else None, tasks or {})


def of_suites(text: str) -> dict[str, Definition]:
    return read({SUITES: text})


def test_the_stand_ins_cases_are_all_read_with_all_that_they_name(tmp_path: Path) -> None:
    found = definitions(checkouts.files(stand_in.write(tmp_path)), {"fox_t2i": ["T2I"]})
    assert found.keys() == stand_in.SUITES.keys()
    assert found["fox_t2i"] == Definition(
        "ONE_GPU_CASES",
        """\
# python/sglang/multimodal_gen/test/server/gpu_cases.py
DiffusionTestCase("fox_t2i", DiffusionServerArgs(model_path=FOX_MODEL))
# python/sglang/multimodal_gen/test/server/testcase_configs.py
if task_type == ModelTaskType.T2I:
    return TEXT_params
# python/sglang/multimodal_gen/test/test_utils.py
FOX_MODEL = "toys/fox"
# python/sglang/multimodal_gen/test/server/testcase_configs.py
TEXT_params = DiffusionSamplingParams(prompt=FOX, output_size="64x64")
# python/sglang/multimodal_gen/test/server/testcase_configs.py
FOX = "a red fox"
""",
    )
    quick = found["fox_quick"].text
    assert all(
        text in quick for text in ("def _make_case(", "JSON_params = replace(", 'COMMON = {"seed": 7}', "FOX = ")
    )
    assert "EDIT_params" not in quick


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('A = [DiffusionTestCase("a", x), DiffusionTestCase(id="b", server_args=x)]', {"a": "A", "b": "A"}),
        (
            'A: list = []\nif c:\n    A.append(DiffusionTestCase("a", x))\nelse:\n    A += [_make_case("b")]',
            {"a": "A", "b": "A"},
        ),
        ('def f():\n    x = 1\n    return configs.DiffusionTestCase("a", x)', {"a": "f"}),
        ('A = [replace(B[0], id="a", sampling_params=None)]', {"a": "A"}),
        ('A = [_make_case(case_id="a")]', {"a": "A"}),
        ('A = [case for case in B if case.id in {"a"}]', {}),
        ('A = [DiffusionTestCase(name, x), DiffusionTestCase("not an id", x), DiffusionTestCase(3.5j), f("a")]', {}),
        ('# DiffusionTestCase("a", x)\nA = "DiffusionTestCase(\\"a\\")"', {}),
        ("", {}),
        ("def", {}),
        ("\0", {}),
        ("(" * 10_000, {}),
    ],
)
def test_a_case_is_a_call_with_its_id(text: str, ids: dict[str, str]) -> None:
    assert {name: definition.place for name, definition in of_suites(text).items()} == ids


def test_a_case_in_a_function_has_the_whole_functions_text() -> None:
    text = 'def make():\n    size = "64x64"\n    return DiffusionTestCase("a", size)\n'
    assert of_suites(text)["a"].text == f"# {SUITES}\n{text}"


def test_the_place_in_the_file_does_not_count() -> None:
    one = 'A = [\n    DiffusionTestCase(\n        "a",\n        B,\n    ),\n]\nB = 1\n'
    other = (
        'B = 1\n\n\nif c:\n    A = [\n        DiffusionTestCase(\n            "a",\n            B,\n        ),\n    ]\n'
    )
    assert of_suites(one) == of_suites(other) == of_suites(one.replace("\n", "\r\n"))


def test_text_that_is_not_ascii_is_cut_at_characters() -> None:
    assert of_suites('Ä = "é"; A = [DiffusionTestCase("a", "日本", x), Ä]')["a"].text.splitlines()[1:] == [
        'DiffusionTestCase("a", "日本", x)'
    ]


def test_names_and_imports_that_lead_round_in_a_circle_end() -> None:
    first, second = PurePosixPath("python/one.py"), PurePosixPath("python/two.py")
    files = {
        SUITES: "from one import a\nfrom one import x as y\nb = c\nc = b\nA = [DiffusionTestCase('a', a, y, b)]",
        first: "from two import a\nfrom two import x",
        second: "from one import a\nx = 1",
    }
    text = read(files)["a"].text
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "DiffusionTestCase('a', a, y, b)",
        "x = 1",
        "b = c",
        "c = b",
    ]


def test_the_defaults_of_a_task_that_is_not_known_are_all_of_them() -> None:
    function = "get_default_sampling_params_for_model_task"
    configs = f"def {function}(task):\n    if task == T.A:\n        return one\n    return two\n"
    files = {SUITES: 'A = [DiffusionTestCase("a", x)]', CONFIGS: configs}
    assert "return two" in read(files)["a"].text
    assert "return two" in read(files, {"a": ["B"]})["a"].text
    assert "return two" not in read(files, {"a": ["A"]})["a"].text
    assert "return one" in read(files, {"a": ["A"]})["a"].text


@pytest.mark.parametrize(
    ("workflow", "ids"),
    [
        ('groups = {"x": ["a", "b"], "y": ["b", "c.d"]}\n', {"a", "b", "c.d"}),
        ("  groups = {\n    'x': [\n      'a',\n    ],\n  }\nif c == \"z\":\n", {"a"}),
        ("groups = {}\n", None),
        ("jobs: {}\n", None),
        ("", None),
    ],
)
def test_the_official_ids_are_those_of_the_matrix(workflow: str, ids: set[str] | None) -> None:
    assert official_ids(lambda path: workflow.encode() if path == WORKFLOW else None) == ids


@given(
    text=st.text(max_size=80)
    | st.lists(
        st.sampled_from(["A = [", "]", "DiffusionTestCase(", '"a"', ",", ")", "\n", "if x:\n    ", "def f():\n ", "é"])
    ).map("".join)
)
def test_no_source_gives_a_traceback(text: str) -> None:
    for definition in read({SUITES: text, CONFIGS: text}).values():
        assert definition.text


DEEP = b"if a: pass\n" + b"elif a: pass\n" * 1_500  # each elif lies in the one before


@pytest.mark.parametrize("data", [None, b"\xff", b"", DEEP])
def test_a_checkout_without_the_suites_defines_nothing(data: bytes | None) -> None:
    assert definitions(lambda _: data, {}) == {}


def test_a_file_that_would_hang_is_not_read(tmp_path: Path) -> None:
    stand_in.write(tmp_path)
    (tmp_path / SUITES).unlink()
    (tmp_path / SUITES).symlink_to("/dev/zero")
    assert definitions(checkouts.files(tmp_path), {}) == {}
