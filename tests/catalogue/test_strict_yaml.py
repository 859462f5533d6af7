"""The promise of YAML: a value is what it looks like, whoever reads it; anything else is named."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue.strict_yaml import DEEPEST, read


def flaws(text: str) -> list[str]:
    return [flaw.expected for flaw in read(text.encode()).flaws]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("0", 0), ("42", 42), ("-7", -7), ("+5", 5), ("18446744073709551615", 2**64 - 1)),
        *(("0.5", 0.5), ("-1.25", -1.25), (".5", 0.5), ("5.", 5.0), ("1.5e-3", 0.0015), ("1.0e+3", 1000.0)),
        *(("true", True), ("false", False), ("null", None), ("~", None), ("", None)),
        *(("'042'", "042"), ('"yes"', "yes"), ("'.nan'", ".nan"), ("a cat", "a cat"), ("4:16 pm", "4:16 pm")),
        *(
            ("1.2.3", "1.2.3"),
            ("y", "y"),
            ("1024x1024", "1024x1024"),
            ("[1, a]", [1, "a"]),
            ("{a: {b: 1}}", {"a": {"b": 1}}),
        ),
    ],
)
def test_a_plain_value_is_what_it_looks_like(text: str, value: Any) -> None:
    document = read(f"key: {text}".encode())
    assert (document.content, document.flaws) == ({"key": value}, [])
    assert type(document.content["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "otherwise"),
    [
        *(
            ("042", "YAML reads 042 as 34"),
            ("-010", "as -8"),
            ("00", "as 0"),
            ("08", "is not the same to every reader"),
        ),
        *(("4:16", "as 256"), ("1:30:00", "as 5400"), ("1:2.5", "as 62.5"), ("-4:16", "as -256")),
        *(("0x10", "as 16"), ("0b11", "as 3"), ("0o17", "is not the same"), ("1_000", "as 1000"), ("1_0.5", "as 10.5")),
        *((".nan", "as nan"), (".inf", "as inf"), ("-.INF", "as -inf"), (".NaN", "as nan"), ("1.0e+400", "as inf")),
        *(
            ("1e400", "is not the same"),
            ("1e5", "is not the same"),
            ("1.5e3", "is not the same"),
            ("9" * 500, "is not the"),
        ),
        *(("yes", "as True"), ("No", "as False"), ("on", "as True"), ("OFF", "as False")),
        *(
            ("2024-01-02", "as 2024-01-02"),
            ("2024-01-02 03:04:05", "as 2024-01-02 03:04:05"),
            ("2024-99-99", "not the same"),
        ),
        *(("=", "is not the same"), ("<<", "is not the same")),
    ],
)
@pytest.mark.parametrize("place", ["key: {}", "[{}]", "{{a: {{b: [x, {}]}}}}", "{}: value"])
def test_a_value_that_readers_differ_about_is_refused_with_what_it_would_have_become(
    text: str, otherwise: str, place: str
) -> None:
    (flaw,) = flaws(place.format(text))
    assert otherwise in flaw
    assert "text stands in quotes" in flaw


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("? [x, y]\n: 1", "expected text as a key; a list or a mapping stands here"),
        ("? {x: y}\n: 1", "expected text as a key; a list or a mapping stands here"),
        ("5090: 1", "expected text as a key; YAML reads 5090 as 5090"),
        ("~: 1", "expected text as a key"),
        ("a: 1\na: 2", "expected a key only once; 'a' stands here again"),
        ("a: !!str 042", "expected a value without a tag"),
        ("a: !!python/object/apply:os.system [id]", "expected a value without a tag"),
        ("a: ! b", "expected a value without a tag"),
        ("a: &x {b: 1}\nc: {<<: *x}", "expected text as a key"),
        ("a: 1\n---\nb: 2", "expected one document"),
        ("[" * 1_000 + "]" * 1_000, f"expected at most {DEEPEST} levels"),
        ("[" * 200_000, "exceeded maximum nesting depth"),
        ("a: &x [*x]", "none within its own anchor"),
        ("a: *nothing", "expected YAML; the reader stops here: found undefined alias"),
        ("a: [", "expected YAML; the reader stops here: "),
        ("a: \x00", "expected YAML; the reader stops here: "),
    ],
)
def test_what_makes_a_document_another_one_than_it_looks_is_refused(text: str, expected: str) -> None:
    assert expected in flaws(text)[0]


def test_all_flaws_are_told_at_once_with_their_lines() -> None:
    found = read(b"a: 042\nb:\n  c: yes\n  c: .nan\n5: x\n").flaws
    assert [(flaw.line, flaw.keys) for flaw in found] == [
        (1, ("a",)),
        (3, ("b", "c")),
        (4, ("b", "c")),
        (4, ("b", "c")),
        (5, ("5",)),
    ]


def test_an_alias_stands_for_its_anchor() -> None:
    document = read(b"a: &x {b: [1, 2]}\nc: *x\n")
    assert (document.content, document.flaws) == ({"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}, [])


def test_a_short_text_does_not_become_a_huge_content() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    started = time.perf_counter()
    assert "expected aliases that add at most" in flaws("\n".join(lines))[0]
    assert time.perf_counter() - started < 5


@given(data=st.binary(max_size=200) | st.text("[]{}:,&*!?-<>'\"\n \t#|%@0x1e.nayes", max_size=60).map(str.encode))
def test_no_bytes_give_a_traceback(data: bytes) -> None:
    document = read(data)
    assert document.flaws or document.content is not ...
