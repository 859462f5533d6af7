"""The sentences of messages: numbers agree with what they count, and no library shows through."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, model_validator

from ci.artifact import collect, summary
from ci.artifact import manifest as manifests
from ci.catalogue import strict_yaml
from ci.catalogue.upstream import recorded
from ci.errors import CatalogueError, GtError, Mistake
from ci.judge import on_machine
from ci.plan import gitlab, host
from ci.plan.host import Host
from ci.run import recipes
from ci.verbs.cases import CasesValidate
from ci.verbs.generate import count
from ci.verbs.options import Folder
from ci.words import are, at_least, counted, first_mistake
from tests.support.factory import case
from tests.support.records import manifest


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (counted(0, "case"), "0 cases"),
        (counted(1, "case"), "1 case"),
        (counted(2, "entry"), "2 entries"),
        (counted(2, "day"), "2 days"),
        (counted(1, "case", of=1), "1 of 1 case"),
        (counted(1, "case", of=2), "1 of 2 cases"),
        (f"{are(0)} {are(1)} {are(2)}", "are is are"),
        (f"{are(0, of=1)} {are(1, of=2)} {are(0, of=2)}", "is is are"),
    ],
)
def test_a_noun_agrees_with_its_number(sentence: str, expected: str) -> None:
    assert sentence == expected


@given(
    st.lists(st.floats(1e-9, 365 * 24 * 60), min_size=1, max_size=300),
    st.sampled_from([0, 1, 3]),
)
def test_minutes_are_rounded_up_by_less_than_the_last_digit(minutes: list[float], digits: int) -> None:
    total = math.fsum(minutes)
    figure = at_least(sum(minutes), digits)
    assert total * (1 - 1e-11) <= figure < total * (1 + 1e-11) + 10**-digits
    assert at_least(figure, digits) == figure > 0


def test_what_counts_one_says_so_in_the_singular(tmp_path: Path) -> None:
    one = manifest({"one": "ok"})
    two = manifest({"one": "ok", "two": "failed"})
    assert count(one, "in gt").startswith("1 of 1 case is in gt")
    assert count(two, "in gt").startswith("1 of 2 cases is in gt")
    assert count(manifest({"one": "failed"}), "in gt").startswith("0 of 1 case is in gt")
    assert summary.texts(one, "")["summary.md"].startswith("### Ground truth: 1 of 1 case\n")
    assert str(CatalogueError([Mistake("a.yaml", 1, "", "", "expected")])).startswith("1 mistake in")
    counts = {"bad": ["one"], "images": 1, "unreferenced": 1}
    lines = list(on_machine.summary(counts))
    assert lines[0] == "1 image was looked at; 1 file is bad"
    assert lines[1].startswith("1 of them is unreferenced")
    assert "there is 1" in str(host.lack(case("one", gpu="h100", gpus=4), Host("h100", 1, 80.0), None))
    text = (Path(recipes.CONTAINERS).parent / "cases" / "smoke.yaml").read_text()
    head, first, *_ = text.split("\n  smoke_")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "smoke.yaml").write_text(f"{head}\n  smoke_{first}")
    assert CasesValidate(cases=Folder(tmp_path / "cases")).run().text == "gt: 1 case of smoke is valid"


class _Model(BaseModel):
    number: int

    @model_validator(mode="after")
    def _odd(self) -> _Model:
        if not self.number % 2:
            raise ValueError("an odd number")
        return self


def test_a_mistake_that_pydantic_found_is_told_without_its_address() -> None:
    for content, expected in (({"number": "x"}, "number: "), ({}, "number: "), ({"number": 2}, "an odd number")):
        with pytest.raises(ValidationError) as error:
            _Model.model_validate(content)
        assert first_mistake(error.value).startswith(expected)


def test_no_message_shows_the_address_of_a_library(tmp_path: Path) -> None:
    """Every reader of a file that a user may write, with a file of another shape."""
    folder = tmp_path / "wrong"
    (folder / recorded.FILE).parent.mkdir(parents=True)
    (folder / manifests.NAME).write_text('{"run": 1}')
    (folder / recorded.FILE).write_text('{"cases": 1}')
    (folder / "images.yaml").write_text("base: 1")
    readers: list[Callable[[], object]] = [
        lambda: manifests.read(folder),
        lambda: recorded.read(folder),
        lambda: recipes.data(folder),
        lambda: collect.ids_of('{"include": 1}'),
        lambda: gitlab.pipeline('{"include": [{"job": "?"}]}', "tag"),
    ]
    for read in readers:
        with pytest.raises(GtError) as error:
            read()
        assert "pydantic" not in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"a: 1\nb: \xff", 2, "expected text in UTF-8; the byte 0xff is none"),
        (b"a: 1\nb: [1,\n", 3, "expected YAML; the reader stops here: "),
        (b"a: b: c", 1, "expected YAML; the reader stops here: mapping values are not allowed in this context"),
        (b"a: \x00", 1, "expected YAML; the reader stops here: unacceptable character #x0000: "),
        (b"a: 1\na: 2", 2, "expected a key only once; 'a' stands here again"),
    ],
)
def test_a_text_that_is_no_yaml_is_told_in_a_sentence_with_its_line(text: bytes, line: int, words: str) -> None:
    [flaw] = strict_yaml.read(text).flaws
    assert flaw.line == line
    assert flaw.expected.startswith(words)
