"""What is said of a trace before it runs: its stages, its size, and what cannot be traced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue.fields import NATIVE
from ci.catalogue.files import Catalogue
from ci.errors import GtError
from ci.plan.tracing import STAGES, Tracing
from gt_trace import CaseTrace

MB = 1e6
NAMES = [
    *("prompt_embeds", "prompt_embeds.pooled", "negative_prompt_embeds", "condition.0", "noise", "timesteps"),
    *("latents.0", "latents.7", "model_output.6", "latents.final", "stage_2.latents.4", "stage_2.sigmas", "decoded"),
]
PATTERNS = st.sampled_from([*NAMES, *STAGES, "latents.*", "*embeds*", "stage_2", "stage_2.*", "*"])


@given(st.lists(PATTERNS, max_size=3), st.integers(1, 5))
def test_the_plan_and_the_writer_keep_the_same_stages(patterns: list[str], every: int) -> None:
    plan, writer = Tracing(tuple(patterns), every), CaseTrace(patterns, every)
    assert [name for name in NAMES if plan.wants(name)] == [name for name in NAMES if writer.wants(name)]


@pytest.mark.parametrize(
    ("name", "tracing", "least", "most"),
    [
        ("flux_image_t2i", Tracing(("latents",)), 26 * MB, 28 * MB),  # 50 steps of 4096 x 64 bf16 values
        ("flux_image_t2i", Tracing(), 55 * MB, 75 * MB),
        ("flux_image_t2i", Tracing(every=10), 10 * MB, 20 * MB),
        ("flux_image_t2i", Tracing(("latents.0",)), 0.5 * MB, 0.6 * MB),
        ("qwen_image_edit_2509_ti2i", Tracing(("condition",)), 1 * MB, 2 * MB),
        ("wan2_1_t2v_1.3b", Tracing(("latents",)), 100 * MB, 500 * MB),
        ("wan2_2_ti2v_5b_t2v", Tracing(("latents",)), 1060 * MB, 1070 * MB),  # 51 of 31 x 44 x 80 x 48 fp32 values
        ("ltx_2_two_stage_t2v", Tracing(), 20 * MB, 200 * MB),
    ],
)
def test_the_size_that_is_said_is_that_of_real_weights(
    name: str, tracing: Tracing, least: float, most: float, catalogue: Catalogue
) -> None:
    assert least < tracing.bytes([catalogue.cases[name]]) < most


def test_every_official_and_smoke_case_has_a_size(catalogue: Catalogue) -> None:
    cases = [case for case in catalogue.cases.values() if case.official or case.source == "smoke"]
    assert cases
    for case in cases:
        assert 1 * MB < Tracing().bytes([case]) < 10_000 * MB, case.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ("latent.0",)}, "no stage is named 'latent.0'; did you mean latents"),
        ({"stages": ("decoded", "stage_2.xyz")}, "no stage is named 'stage_2.xyz'; allowed: condition, decoded"),
        ({"every": 0}, "--every 0 keeps no step"),
        ({"stages": ("noise", "latents.3"), "every": 2}, "--stages latents.3 names a step that --every 2 leaves out"),
        ({"stages": ("stage_2.model_output.1",), "every": 5}, "--every 5 leaves out"),
    ],
)
def test_a_bound_that_would_keep_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GtError, match=message):
        replace(Tracing(), **changes).check([])


@pytest.mark.parametrize("stage", [*NAMES, *STAGES, "latents.*", "*", "stage_3.latents.final"])
def test_every_name_and_pattern_of_a_stage_is_taken(stage: str) -> None:
    Tracing((stage,)).check([])


def test_native_cases_have_no_stages(catalogue: Catalogue) -> None:
    native = list(catalogue.of(NATIVE).values())[:1]
    with pytest.raises(GtError, match=r"a serving engine makes .* itself"):
        Tracing().check(native)


def test_a_stage_that_one_case_has_is_met_and_one_that_none_has_is_told_with_each_reason() -> None:
    absent = {"condition": "it has no image", "latents.9": "the run has latents.0", "stage_2": "the run has noise"}
    cases: dict[str, Any] = {
        "one": {"stages": {"latents.0": {}}, "absent": absent},
        "two": {"stages": {"condition.0": {}}, "absent": absent | {"latents.9": "the run has condition.0"}},
        "three": {"stages": {}, "absent": absent},
    }
    assert list(Tracing(("condition", "latents", "stage_2", "latents.9")).unmet(cases)) == [
        "--stages stage_2: not in one, two, three: the run has noise",
        "--stages latents.9: not in one, three: the run has latents.0",
        "--stages latents.9: not in two: the run has condition.0",
    ]
    assert not [*Tracing(()).unmet(cases), *Tracing(("latents.9",)).unmet({})]
