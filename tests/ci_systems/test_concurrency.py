"""The concurrency key of gt.yml: GitHub makes of its expression what our function says, by upstream's rule."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ci.main import DiffusionGt
from ci.plan.workflow import WorkflowInputs, concurrency_key
from tests.ci_systems.expressions import Evaluation, Expressions
from tests.ci_systems.github import load
from tests.conftest import ROOT, Gt

FILE = ROOT / ".github" / "workflows" / "gt.yml"
PLACE = ("jobs", "make", "concurrency", "group")
# Upstream's own text, diffusion-ci-gt-gen.yml at sgl-project/sglang 0c829834.
UPSTREAM = (
    "diffusion-ci-gt-gen-${{ github.ref }}-${{ inputs.output_name || inputs.case_ids || inputs.official_case_ids || "
    "inputs.official_source_group || inputs.run_official_cases || 'default' }}"
)
TEXTS = ("output_name", "case_ids", "official_case_ids", "official_source_group")
ODD = ("", "out", "false", "0", " ", "A'B{0}", "a\nb", "${{ x }}", "ünï")
REFS = ("refs/heads/main", "refs/pull/1/merge", "")
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def ours(ref: str, inputs: dict[str, Any]) -> str:
    return concurrency_key(
        WorkflowInputs(
            ref=ref,
            output_name=inputs["output_name"],
            case_ids=inputs["case_ids"],
            official_case_ids=inputs["official_case_ids"],
            source_group=inputs["official_source_group"],
            official=inputs["run_official_cases"],
        )
    )


def agree(expressions: Expressions, combinations: list[tuple[str, dict[str, Any]]]) -> None:
    evaluations = [Evaluation(PLACE, {"github": {"ref": ref}, "inputs": inputs}) for ref, inputs in combinations]
    keys = expressions.evaluate(FILE, evaluations)
    for key, (ref, inputs) in zip(
        keys, combinations, strict=True
    ):  # one by one: to show where long lists differ takes ages
        assert key == ours(ref, inputs)


def combinations(values: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    for texts in itertools.product(values, repeat=len(TEXTS)):
        for ref, official in itertools.product(REFS, (True, False)):
            yield ref, {"run_official_cases": official, **dict(zip(TEXTS, texts, strict=True))}


def test_the_rule_is_upstreams_word_for_word() -> None:
    assert load(FILE)["jobs"]["make"]["concurrency"] == {"group": UPSTREAM, "cancel-in-progress": True}


def test_github_finds_our_key_for_every_combination_of_inputs(expressions: Expressions) -> None:
    agree(expressions, list(combinations(("", "a b"))))


def test_github_finds_our_key_for_odd_inputs_too(expressions: Expressions) -> None:
    agree(expressions, [(ref, inputs) for ref, inputs in combinations(("", *ODD)) if ref != REFS[1]][::7])


def test_github_finds_our_key_whatever_was_typed(expressions: Expressions) -> None:
    typed = st.fixed_dictionaries(dict.fromkeys(TEXTS, words) | {"run_official_cases": st.booleans()})

    @settings(max_examples=5)
    @given(st.lists(st.tuples(words, typed), min_size=50, max_size=100))
    def check(combinations: list[tuple[str, dict[str, Any]]]) -> None:
        agree(expressions, combinations)

    check()


def test_an_input_that_a_caller_leaves_out_counts_as_empty(expressions: Expressions) -> None:
    (key,) = expressions.evaluate(FILE, [Evaluation(PLACE, {"github": {"ref": "r"}, "inputs": {}})])
    assert key == concurrency_key(WorkflowInputs(ref="r"))


def test_the_command_and_the_dagger_function_give_the_same_key(gt: Gt) -> None:
    typed: dict[str, Any] = {"ref": "refs/heads/main", "official_case_ids": "a b", "official": True}
    key = concurrency_key(WorkflowInputs(**typed))
    values = dict.fromkeys(("output_name", "case_ids", "source_group", "publish_target_dir"), "") | {
        "all_inputs": False
    }
    assert asyncio.run(DiffusionGt().concurrency_key(**values, **typed)) == key
    options = ("--ref", "refs/heads/main", "--official-case-ids", "a b", "--official")
    assert gt("concurrency-key", *options).stdout == f"{key}\n"
