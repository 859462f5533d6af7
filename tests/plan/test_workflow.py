"""The promises of concurrency keys and publish directories: those of sglang's own workflow."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.errors import GtError
from ci.plan.workflow import WorkflowInputs, concurrency_key, publish_target
from ci.verbs.plan import ConcurrencyKey

words = st.text("abc /_-", max_size=6)
some_inputs = st.builds(WorkflowInputs, words, words, words, words, words, st.booleans(), words)


@pytest.mark.parametrize("present", itertools.product([True, False], repeat=5))
def test_the_key_holds_the_first_input_that_is_not_empty(present: tuple[bool, ...]) -> None:
    names = ("output_name", "case_ids", "official_case_ids", "source_group")
    texts = {name: name.upper() for name, there in zip(names, present, strict=False) if there}
    inputs = WorkflowInputs(ref="refs/heads/main", official=present[4], **texts)
    values = [*texts.values(), *(["true"] if present[4] else []), "default"]
    assert concurrency_key(inputs) == f"diffusion-ci-gt-gen-refs/heads/main-{values[0]}"


@given(one=some_inputs, other=some_inputs)
def test_the_key_over_all_inputs_differs_whenever_an_input_does(one: WorkflowInputs, other: WorkflowInputs) -> None:
    same = concurrency_key(one, all_inputs=True) == concurrency_key(other, all_inputs=True)
    assert same == (one == other)


def test_the_workflows_key_lets_two_runs_of_one_output_name_meet() -> None:
    one = WorkflowInputs(ref="main", output_name="out", case_ids="a")
    assert concurrency_key(one) == concurrency_key(replace(one, case_ids="b"))
    assert concurrency_key(one, all_inputs=True) != concurrency_key(replace(one, case_ids="b"), all_inputs=True)


@pytest.mark.parametrize("word", ["a\nkey=b", "a\r\nb", "a\u2028b", "a\x1b[31m"])
@pytest.mark.parametrize("field", ["ref", "output_name", "case_ids", "official_case_ids", "source_group"])
@pytest.mark.parametrize("all_inputs", [True, False])
def test_a_key_is_one_line_whatever_was_typed(field: str, word: str, all_inputs: bool) -> None:
    verb = ConcurrencyKey(**{field: word, "all_inputs": all_inputs})  # type: ignore[arg-type]  # the field is a text
    assert verb.run().text.isprintable()


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../../b", "a//b", ".git", "a/.git/hooks", "a\\b", "con", "a\nb", "x" * 300]
)
def test_an_explicit_directory_lies_in_the_repository(path: str) -> None:
    with pytest.raises(GtError, match="is no publish directory"):
        publish_target(path)


@pytest.mark.parametrize("serving", ["official", "native", "all", "diffusers", "../x", "", "nul", "a/b"])
def test_native_gt_has_the_directory_of_its_serving_engine_and_no_other(serving: str) -> None:
    with pytest.raises(GtError, match="is no name of a serving engine"):
        publish_target(serving=serving)
    assert publish_target(official=True, serving=serving).endswith("/official_generated")
