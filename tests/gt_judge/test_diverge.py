"""The promises of `gt diverge`: the first stage that differs, tolerances with a reason, confusions by their names."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gt_judge.diverge import diverge as comparison
from gt_judge.diverge import picture, stages, words
from gt_judge.diverge import trace as traces
from gt_judge.diverge.measures import apart, precision
from gt_judge.diverge.result import CaseResult, Divergence, Status
from gt_judge.diverge.tolerances import limit, tolerances
from gt_judge.diverge.walk import Options
from gt_judge.errors import JudgeError
from tests.support.traces import DTYPES, SCALING, SHIFT, Run, Tensors, packed, unpacked, write

Change = Callable[[Tensors], Tensors]
RUN = Run()
EXACT = Options(exact=True)


def between(folder: Path, reference: Tensors, other: Tensors, options: Options = Options(), **said: Any) -> CaseResult:  # noqa: B008
    """Two traces of one case against each other; `said` goes into the other's index."""
    found = compared(
        write(folder / "reference", {"case": reference}), write(folder / "other", {"case": other}, **said), options
    )
    return found.cases[0]


def compared(reference: Path, other: Path, options: Options = Options(), **named: Any) -> Divergence:  # noqa: B008
    return comparison.diverge(traces.read(reference), traces.read(other), options, **named)


def first(case: CaseResult) -> str | None:
    return None if case.first is None else case.first.name


def looped(change: Callable[[Any], Any]) -> Change:
    """A change of everything in the loop."""
    return lambda run: {
        name: change(tensor) if stages.family(name) in stages.LOOPED else tensor for name, tensor in run.items()
    }


def at(stage: str, change: Callable[[Any], Any]) -> Change:
    """A change of one stage."""
    return lambda run: run | {stage: change(run[stage])}


def exchanged(one: str, two: str) -> Change:
    return lambda run: run | {one: run[two], two: run[one]}


def earlier(run: Tensors) -> Tensors:
    """A trace that counts the latents of a step after it, not before it."""
    steps = [name for name in run if re.fullmatch(r"latents\.\d+", name)]
    return run | {name: run.get(stages.at_step(name, int(name[8:]) + 1), run["latents.final"]) for name in steps}


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_equal_runs_do_not_diverge(tmp_path: Path, dtype: str) -> None:
    run = Run(dtype).tensors()
    for options in (Options(), EXACT):
        case = between(tmp_path, run, run, options)
        assert (first(case), case.verdict) == (None, "all 17 stages are equal, bit for bit")


@pytest.mark.parametrize(
    ("change", "stage", "said"),
    [
        ({"sigma_shift": 4.5}, "sigmas", "another shift of the sigmas: 1.5 times the reference's"),
        ({"guidance": 4.4}, "model_output.0", "the first step's transformer or its guidance"),
        ({"vae_shift": 0.0}, "decoded", "the decoder, or the scaling and shift of the latents before it"),
        ({"seed": 1}, "noise", "another noise with equal statistics"),
        ({"steps": 6}, "sigmas", "another number of steps"),
        ({"left_out": 2}, "latents.3", "that of step 3 (from 0), off by one"),
        ({"ends_after": 4}, "latents.final", "it equals the reference's latents.4: the last step was left out"),
        ({"text_dtype": "bf16"}, "prompt_embeds", "the other was computed in bf16, the reference in fp32"),
        ({"text_dtype": "fp16"}, "prompt_embeds", "the other was computed in fp16, the reference in fp32"),
    ],
)
def test_the_first_stage_that_differs_is_the_one_that_was_changed(
    tmp_path: Path, change: dict[str, Any], stage: str, said: str
) -> None:
    other = replace(RUN, **change)
    case = between(tmp_path, RUN.tensors(), other.tensors(), steps=other.ends_after or other.steps)
    assert first(case) == stage
    assert said in case.verdict


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("change", "stage", "said"),
    [
        (
            exchanged("prompt_embeds", "negative_prompt_embeds"),
            "prompt_embeds",
            "prompt and negative prompt are exchanged",
        ),
        (
            at("prompt_embeds", lambda x: np.concatenate([x[:, :5], x[:, 5:] ** 2], 1)),
            "prompt_embeds",
            "the first 5 of 24 tokens",
        ),
        (
            at("prompt_embeds", lambda x: np.concatenate([x[:, :5], x[:, :8]], 1)),
            "prompt_embeds",
            "13 instead of 24 along axis 1; the first 5 of 13 tokens are equal, what follows is another text",
        ),
        (
            at("prompt_embeds", lambda x: x[:, :9]),
            "prompt_embeds",
            "9 instead of 24 along axis 1; the first 9 are equal",
        ),
        (at("prompt_embeds", lambda x: x[:, :0]), "prompt_embeds", "0 instead of 24 along axis 1"),
        (at("prompt_embeds", lambda x: x * 0), "prompt_embeds", "the other holds 0 throughout: it was never set"),
        (looped(lambda x: np.concatenate([x, x])), "latents.0", "holds two in a batch, twice the same"),
        (looped(lambda x: x[:, 48:]), "latents.0", "the last 48 are equal: cut or filled up to another length, or the"),
        (looped(lambda x: x[:, :-1]), "latents.0", "the first 95 are equal: cut or filled up to another length"),
        (at("noise", lambda x: x[:, ::-1]), "noise", "axis 1 is mirrored"),
        (at("noise", lambda x: np.sort(x, axis=None).reshape(x.shape)), "noise", "the same values in another order"),
        (at("timesteps", lambda x: x / 1000), "timesteps", "steps from 0 to 1 instead of 0 to 1000"),
        (
            at("timesteps", lambda x: np.append(x[1:], x[-1] / 2)),
            "timesteps",
            "each step has the value of the next one",
        ),
        (at("timesteps", lambda x: np.delete(x, 2)), "timesteps", "the other leaves out step 2 (from 0)"),
        (at("timesteps", lambda x: x[1:]), "timesteps", "the other lacks the first of timesteps: off by one"),
        (at("sigmas", lambda x: x[::-1]), "sigmas", "in the reverse order"),
        (earlier, "latents.0", "it equals the reference's latents.1: off by one in steps"),
        (at("model_output.0", lambda x: -x), "model_output.0", "the sign is turned"),
        (
            at("latents.final", lambda x: x * SCALING),
            "latents.final",
            "FLUX.1's VAE scaling, applied in the other alone",
        ),
        (
            at("latents.final", lambda x: (x - SHIFT) * SCALING),
            "latents.final",
            "FLUX.1's VAE scaling and shift, applied in",
        ),
        (
            at("latents.final", lambda x: x / SCALING + SHIFT),
            "latents.final",
            "VAE scaling and shift, applied in the reference",
        ),
        (
            at("latents.final", lambda x: x * np.linspace(1, 2, 64) + np.linspace(-1, 1, 64)),
            "latents.final",
            "each of the 64 entries of axis 2 is scaled and shifted by figures of its own",
        ),
        (at("decoded", lambda x: x / 2 + 0.5), "decoded", "the range 0..1 instead of -1..1"),
        (at("decoded", lambda x: x.clip(-0.5, 0.5)), "decoded", "the other is clipped to -0.5..0.5"),
    ],
)
def test_a_known_confusion_is_recognised_and_named(
    tmp_path: Path, dtype: str, change: Change, stage: str, said: str
) -> None:
    run = Run(dtype).tensors()
    other = {name: tensor.astype(run[name].dtype) for name, tensor in change(run).items()}
    case = between(tmp_path, run, other)
    assert first(case) == stage
    assert said in case.verdict


def test_a_reference_of_zeros_is_told_and_not_blamed(tmp_path: Path) -> None:
    run = RUN.tensors()  # as SDXL takes zeros for an empty negative prompt
    case = between(tmp_path, run | {"negative_prompt_embeds": run["negative_prompt_embeds"] * 0}, run)
    assert case.verdict.endswith("the reference holds 0 throughout")


@pytest.mark.parametrize("place", ["first", "last"])
def test_predictions_before_guidance_are_told_with_their_order(tmp_path: Path, place: str) -> None:
    run = RUN.tensors()
    negative: Any = run["model_output.0"] + np.random.default_rng(0).standard_normal(
        run["model_output.0"].shape, np.float32
    )
    prompted = negative + (run["model_output.0"] - negative) / 4
    pair = [negative, prompted] if place == "first" else [prompted, negative]
    case = between(tmp_path, run, run | {"model_output.0": np.concatenate(pair).astype(np.float32)})
    assert f"the predictions before guidance, negative {place}; the guidance scale is 4" in case.verdict


def test_a_stack_of_two_prompts_tells_which_comes_first(tmp_path: Path) -> None:
    run = RUN.tensors()
    for names, said in (
        (("negative_prompt_embeds", "prompt_embeds"), "first"),
        (("prompt_embeds", "negative_prompt_embeds"), "last"),
    ):
        both = run | {"prompt_embeds": np.concatenate([run[name] for name in names])}
        assert f"the other holds two in a batch, the negative one {said}" in between(tmp_path, run, both).verdict
    batch = {"prompt_embeds": np.concatenate([run["prompt_embeds"], run["negative_prompt_embeds"]])}
    case = between(tmp_path, batch, {"prompt_embeds": batch["prompt_embeds"][::-1]})
    assert "guidance order, negative first on one side only" in case.verdict


@pytest.mark.parametrize(
    "change",
    [
        unpacked,
        lambda x: x.transpose(0, 2, 1),
        lambda x: x[0],
        lambda x: unpacked(x).transpose(0, 2, 3, 1),
        lambda x: x.reshape(1, 8, 12, 64),
        lambda x: x.reshape(1, 4, 4, 6, 64).transpose(0, 4, 1, 2, 3),
    ],
    ids=["unpacked", "channels first", "no batch", "channels last", "height and width", "a video"],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_another_layout_is_undone_and_what_differs_in_it_is_found(tmp_path: Path, dtype: str, change: Any) -> None:
    run = Run(dtype).tensors()
    same = between(tmp_path, run, looped(change)(run))
    assert first(same) is None
    assert same.stages[5].layout
    said = {name: {"layout": "another"} for name in run}
    reference = write(tmp_path / "reference", {"case": run}, stages={name: {"layout": "one"} for name in run})
    guided = looped(change)(Run(dtype, guidance=6).tensors())
    other = write(tmp_path / "other", {"case": guided}, stages=said)
    (case,) = compared(reference, other).cases
    assert first(case) == "model_output.0"
    assert "latents.0 are equal but for the layout" in case.verdict


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda x: x.reshape(1, 96, 16, 2, 2).transpose(0, 1, 3, 4, 2).reshape(x.shape), "packed in another order"),
        (lambda x: x.reshape(1, 8, 12, 64).transpose(0, 2, 1, 3).reshape(x.shape), "permuted"),
    ],
    ids=["channels of a patch", "height and width"],
)
def test_a_layout_that_no_shape_shows_is_a_difference(tmp_path: Path, change: Any, pattern: str) -> None:
    run = RUN.tensors()
    case = between(tmp_path, run, looped(change)(run))
    assert first(case) == "latents.0"
    assert (
        f"latents.0 differ in the layout: {stages.source('latents.0')}; the same values in another layout: "
        in case.verdict
    )
    assert pattern in case.verdict or "packed" in case.verdict


def test_a_transposed_layout_that_nobody_declared_is_where_a_later_difference_began(tmp_path: Path) -> None:
    run, other = RUN.tensors(), Run(guidance=6).tensors()
    case = between(tmp_path, run, looped(lambda x: x.transpose(0, 2, 1))(other))
    assert first(case) == "latents.0"
    assert "beyond the layout model_output.0 differs first" in case.verdict


def test_a_wrong_input_image_is_named_although_the_text_encoder_sees_it_first(tmp_path: Path) -> None:
    case = between(tmp_path, Run(image=0).tensors(), Run(image=1).tensors())
    assert first(case) == "condition.0"
    assert "condition.0 differs by 1.4, and with it prompt_embeds" in case.verdict
    before = {"prompt_embeds": np.concatenate([Run(image=0).tensors()["prompt_embeds"][:, :5], _late(1)], axis=1)}
    case = between(tmp_path, Run(image=0).tensors(), Run(image=1).tensors() | before)
    assert first(case) == "condition.0", "as a causal text encoder gives it, whose first tokens do not see the image"


def _late(image: int) -> Any:
    return Run(image=image).tensors()["prompt_embeds"][:, 5:]


def test_a_text_encoder_of_another_dtype_is_named_even_if_it_went_another_way(tmp_path: Path) -> None:
    run = RUN.tensors()
    random = np.random.default_rng(5).standard_normal(run["prompt_embeds"].shape)
    far = run | {"prompt_embeds": random.astype(DTYPES["bf16"]).astype(np.float32)}
    case = between(tmp_path, run, far)
    assert first(case) == "prompt_embeds"
    assert "the other's values are those of bf16, the reference's of fp32" in case.verdict


def test_rounding_is_told_and_does_not_count(tmp_path: Path) -> None:
    run = Run("bf16").tensors()
    noisy = run["prompt_embeds"].astype(np.float32) * (
        1 + 0.004 * np.random.default_rng(0).standard_normal((1, 24, 64))
    )
    near = run | {"prompt_embeds": noisy.astype(run["prompt_embeds"].dtype)}
    case = between(tmp_path, run, near)
    assert first(case) is None
    assert re.fullmatch(
        r"nothing differs beyond its tolerance, prompt_embeds are the first that are not equal, by \S+ "
        r"\(bf16 rounding explains 0.016\)", case.verdict)  # fmt: skip
    assert first(between(tmp_path, run, near, EXACT)) == "prompt_embeds"
    far = near | {"model_output.0": run["model_output.0"] * DTYPES["bf16"](1.3)}
    case = between(tmp_path, run, far)
    assert first(case) == "model_output.0"
    assert "noise, timesteps, sigmas and latents.0 are equal, prompt_embeds differ by 4" in case.verdict
    assert "model_output.0 differs by 0.3: the first step's transformer or its guidance" in case.verdict


def off(tensor: Any, by: float) -> Any:
    """The tensor with a random relative error."""
    random = np.random.default_rng(3).standard_normal(tensor.shape)
    return (tensor.astype(np.float32) * (1 + by * random)).astype(tensor.dtype)


def test_errors_add_up_over_the_steps_in_any_layout(tmp_path: Path) -> None:
    run = Run("bf16").tensors()
    steps = [name for name in run if stages.family(name) in stages.LOOPED and name != "latents.0"]
    drift = run | {name: off(run[name], 0.004 * (at + 1)) for at, name in enumerate(steps)}
    assert max(apart(run[name], drift[name]).relative for name in steps) > 2 * tolerances().dtypes["bfloat16"].network
    for change in (lambda run: run, looped(unpacked), looped(lambda x: x.transpose(0, 2, 1))):
        assert first(between(tmp_path, run, change(drift))) is None


@pytest.mark.parametrize(
    ("near", "far", "stage"),
    [
        ("prompt_embeds", 0.03, "negative_prompt_embeds"),
        ("prompt_embeds", 0.02, "latents.0"),
        ("prompt_embeds", 0.03, "condition.0"),
        ("condition.0", 0.02, "noise"),
    ],
)
def test_what_a_stage_is_not_made_from_excuses_nothing(tmp_path: Path, near: str, far: float, stage: str) -> None:
    run = Run("bf16", image=0).tensors()
    case = between(tmp_path, run, run | {near: off(run[near], 0.012), stage: off(run[stage], far)})
    assert first(case) == stage
    assert next(found for found in case.stages if found.name == near).status == Status.WITHIN


def test_after_equal_steps_nothing_is_put_down_to_rounding(tmp_path: Path) -> None:
    run = Run("bf16").tensors()
    late = run["model_output.3"].copy()
    late[0, 0, 0] += DTYPES["bf16"](0.05)
    case = between(tmp_path, run, run | {"model_output.3": late})
    assert first(case) == "model_output.3"
    assert "(the same arithmetic gave equal bits before)" in case.verdict


def test_one_wrong_token_is_found_in_a_large_tensor_that_is_near_on_the_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tensor = random.standard_normal((1, 4096, 64)).astype(DTYPES["bf16"])
    other = tensor.copy()
    other[0, 7] = 0
    case = between(tmp_path, {"decoded": tensor}, {"decoded": other})
    assert first(case) == "decoded"
    other[0, 7] = tensor[0, 7] * DTYPES["bf16"](1.01)
    assert first(between(tmp_path, {"decoded": tensor}, {"decoded": other})) is None


def test_a_difference_of_precision_counts_unless_the_caller_names_the_dtype(tmp_path: Path) -> None:
    coarse, fine = Run("bf16").tensors(), Run("fp32").tensors()
    assert first(between(tmp_path, fine, coarse)) == "prompt_embeds"
    assert first(between(tmp_path, coarse, fine)) == "prompt_embeds"
    case = between(tmp_path, coarse, fine, Options(dtype="bfloat16"))
    assert first(case) is None
    assert any(fact.startswith("of different dtypes: prompt_embeds") for fact in case.facts)


def test_a_bf16_run_that_was_written_as_fp32_has_the_tolerance_of_bf16(tmp_path: Path) -> None:
    coarse = Run("bf16").tensors()
    wide = {name: tensor.astype(np.float32) for name, tensor in coarse.items()}
    assert first(between(tmp_path, coarse, wide)) is None
    assert precision(wide["noise"]) == "bfloat16"
    case = between(tmp_path, coarse, wide, EXACT)
    assert first(case) == "prompt_embeds"


@pytest.mark.parametrize("side", ["reference", "other"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted_and_named(tmp_path: Path, side: str, bad: float) -> None:
    run = RUN.tensors()
    spoilt = run["model_output.1"].copy()
    spoilt[0, 3:5] = bad
    pair = (run | {"model_output.1": spoilt}, run) if side == "reference" else (run, run | {"model_output.1": spoilt})
    case = between(tmp_path, *pair)
    assert first(case) == "model_output.1"
    assert f"128 values of the {side} are NaN or infinite" in case.verdict
    both = between(tmp_path, run | {"model_output.1": spoilt}, run | {"model_output.1": spoilt})
    assert first(both) is None
    assert any("128 values of the reference" in fact for fact in both.facts)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_on_both_sides_leave_rounding_its_excuse(tmp_path: Path, value: float) -> None:
    run = RUN.tensors()
    spoilt = {}
    for by in (0, 1e-6, 1e-3):
        spoilt[by] = run | {"prompt_embeds": off(run["prompt_embeds"], by)}
        spoilt[by]["prompt_embeds"][0, 3] = value
    assert first(between(tmp_path, spoilt[0], spoilt[1e-6])) is None
    assert "prompt_embeds differ by 9.9e-4" in between(tmp_path, spoilt[0], spoilt[1e-3]).verdict
    spoilt[1e-6]["prompt_embeds"][0, 3] = -value if np.isinf(value) else np.inf
    assert "64 values of the other are NaN or infinite" in between(tmp_path, spoilt[0], spoilt[1e-6]).verdict


@pytest.mark.parametrize(
    ("change", "stage", "said"),
    [
        (lambda run: {name: x.astype(np.float32) for name, x in run.items()}, "prompt_embeds", "in the dtype"),
        (looped(unpacked), "latents.0", "in the layout"),
        (at("noise", lambda x: x[0]), "noise", "in the layout"),
        (at("sigmas", lambda x: x * np.array([1, 1, 1, 1, 1, -1], np.float32)), "sigmas", "in the sign of zeros"),
        (at("condition.0", lambda x: x.astype(np.float16)), "condition.0", "in the dtype"),
    ],
)
def test_every_bit_of_equal_values_is_told_for_what_it_is(
    tmp_path: Path, change: Change, stage: str, said: str
) -> None:
    run = Run("bf16").tensors() | {"condition.0": np.zeros((1, 0, 64), np.float32)}
    case = between(tmp_path, run, change(run), EXACT)
    assert first(case) == stage
    assert said in case.verdict
    assert "finite" not in case.verdict


def test_stages_and_steps_that_one_lacks_are_named_with_the_reason(tmp_path: Path) -> None:
    run = RUN.tensors()
    kept = {name: tensor for name, tensor in run.items() if name != "noise" and not name.endswith((".1", ".3"))}
    case = between(tmp_path, run, kept, absent={"noise": "the engine draws it inside a graph"}, every=2)
    assert first(case) is None
    assert "not compared: noise (only in the reference: the engine draws it inside a graph)" in case.facts
    assert (
        "the reference holds every step, the other every 2 steps: the steps that both have were compared" in case.facts
    )
    assert any("latents.1, model_output.1, latents.3" in fact for fact in case.facts)
    changed = {name: tensor for name, tensor in Run(left_out=2).tensors().items() if name in kept}
    case = between(tmp_path, run, changed, every=2)
    assert first(case) == "latents.4"
    assert "step 3 was not compared, and it may have begun there" in case.verdict


def test_a_stage_that_one_lacks_before_the_first_difference_is_told_in_the_verdict(tmp_path: Path) -> None:
    changed = {name: tensor for name, tensor in Run(guidance=5).tensors().items() if "prompt" not in name}
    case = between(tmp_path, RUN.tensors(), changed)
    assert first(case) == "model_output.0"
    lost = "prompt_embeds and negative_prompt_embeds were not compared, and it may have begun there"
    assert case.verdict.endswith(lost)


def test_a_run_that_ends_early_and_is_equal_till_then_has_diverged(tmp_path: Path) -> None:
    reference = RUN.tensors()
    del reference["latents.final"], reference["decoded"]
    other = {name: tensor for name, tensor in reference.items() if not name.endswith(".4")}
    write(tmp_path / "reference", {"case": reference}, steps=5)
    write(tmp_path / "other", {"case": other}, steps=4)
    (case,) = compared(tmp_path / "reference", tmp_path / "other").cases
    assert first(case) == "latents.4"
    assert "the other ran 4 steps, the reference 5" in case.verdict


@pytest.mark.parametrize("kept", [("noise", "latents"), ("noise", "latents.0"), ("noise",)])
def test_a_run_of_fewer_steps_is_found_whatever_was_kept_of_it(tmp_path: Path, kept: tuple[str, ...]) -> None:
    reference = {name: tensor for name, tensor in RUN.tensors().items() if name != "decoded" and "final" not in name}
    other = {name: tensor for name, tensor in reference.items() if name.startswith(kept) and "4" not in name}
    write(tmp_path / "reference", {"case": reference if kept == ("noise", "latents") else other}, steps=5)
    write(tmp_path / "other", {"case": other}, steps=4)
    (case,) = compared(tmp_path / "reference", tmp_path / "other").cases
    assert first(case) == "latents.4"
    assert "the other ran 4 steps, the reference 5" in case.verdict


def only(*kept: str, steps: int = 5, every: int = 1) -> Callable[[Run], Tensors]:
    """What is kept of a run."""

    def traced(run: Run) -> Tensors:
        tensors = replace(run, steps=steps).tensors()
        return {
            name: tensor for name, tensor in tensors.items()
            if name.startswith(kept or tuple(tensors)) and (stages.step(name) or 0) % every == 0
        }  # fmt: skip

    return traced


@pytest.mark.parametrize(
    ("trace", "changes", "stage", "said"),
    [
        (only("prompt", "noise", "decoded"), {"guidance": 5}, "decoded", "steps 0 to 4 and latents.final were"),
        (only("prompt", "noise", "latents"), {"guidance": 5}, "latents.1", "model_output.0 was"),
        (only("latents.0", "model"), {"guidance": 5}, "model_output.0", "prompt_embeds were"),
        (only("model"), {"guidance": 5}, "model_output.0", "noise, prompt_embeds and latents.0 were"),
        (only("prompt", "model"), {"left_out": 1}, "model_output.2", "latents.2 were"),
        (only("prompt", "noise", "model", "decoded"), {"vae_shift": 0.0}, "decoded", "latents.final were"),
        (only(every=2, steps=6), {"left_out": 4}, "latents.final", "step 5 was"),
        (only(every=4, steps=9), {"left_out": 5}, "latents.8", "steps 5 to 7 were"),
        (only("latents.2", "prompt", "noise"), {"guidance": 5}, "latents.2", "steps 0 to 1 were"),
    ],
)  # fmt: skip
def test_what_a_stage_is_made_from_and_neither_trace_holds_may_be_where_it_began(
    tmp_path: Path, trace: Callable[[Run], Tensors], changes: dict[str, Any], stage: str, said: str
) -> None:
    one, two = trace(RUN), trace(replace(RUN, **changes))
    steps = 9 if "latents.8" in one else 6 if "sigmas" in one and one["sigmas"].size == 7 else 5
    write(tmp_path / "reference", {"case": one}, steps=steps)
    (case,) = compared(tmp_path / "reference", write(tmp_path / "other", {"case": two}, steps=steps)).cases
    assert first(case) == stage
    assert case.verdict.endswith(f"{said} not compared, and it may have begun there")


def test_a_stage_whose_cause_was_compared_is_told_without_a_doubt(tmp_path: Path) -> None:
    for changes in ({"guidance": 5}, {"left_out": 2}, {"vae_shift": 0.0}, {"seed": 1}):
        case = between(tmp_path, RUN.tensors(), replace(RUN, **changes).tensors())
        assert "not compared" not in case.verdict
    run = RUN.tensors()
    case = between(tmp_path, run, {name: x for name, x in Run(seed=1).tensors().items() if "prompt" not in name})
    assert first(case) == "noise"
    assert "not compared" not in case.verdict


def test_equal_arithmetic_is_no_proof_for_a_step_whose_latents_were_not_compared(tmp_path: Path) -> None:
    run = {name: tensor for name, tensor in Run("bf16").tensors().items() if not name.startswith("latents")}
    assert first(between(tmp_path, run, run | {"model_output.3": off(run["model_output.3"], 0.005)})) is None


def test_sigmas_without_the_last_zero_are_the_same_sigmas(tmp_path: Path) -> None:
    run = RUN.tensors()
    case = between(tmp_path, run, run | {"sigmas": run["sigmas"][:-1]})
    assert first(case) is None
    assert "sigmas: the other leaves out the 0 at the end" in case.facts


def test_every_loop_of_a_run_is_compared_in_its_place(tmp_path: Path) -> None:
    run = RUN.tensors()
    second = {f"stage_2.{name}": tensor for name, tensor in run.items() if stages.family(name) in stages.LOOPED}
    changed = second | {"stage_2.model_output.1": -second["stage_2.model_output.1"]}
    case = between(tmp_path, run | second, run | changed)
    assert [stage.name for stage in case.stages][-1] == "decoded"
    assert first(case) == "stage_2.model_output.1"
    assert "step 1 (from 0)'s transformer or its guidance, in loop 2; " in case.verdict


def test_stages_that_we_do_not_know_are_compared_last(tmp_path: Path) -> None:
    run = RUN.tensors() | {"block.7": np.ones(300, np.float32)}
    case = between(tmp_path, run, run | {"block.7": np.zeros(300, np.float32)})
    assert [stage.name for stage in case.stages][-1] == first(case) == "block.7"


def test_each_case_that_both_have_is_compared_and_others_are_named(tmp_path: Path) -> None:
    run = RUN.tensors()
    reference = write(tmp_path / "reference", {"one": run, "two": run, "three": run})
    other = write(tmp_path / "other", {"two": run, "three": Run(seed=1).tensors(), "four": run})
    found = compared(reference, other)
    assert [(case.name, case.diverged) for case in found.cases] == [("two", False), ("three", True)]
    assert found.only_in == (["one"], ["four"])
    assert "cases that only the reference has: one" in words.text(found)
    assert [case.name for case in compared(reference, other, cases=["two"]).cases] == ["two"]
    with pytest.raises(JudgeError, match="holds no case one; it has two, three, four"):
        compared(reference, other, cases=["one"])


def test_the_result_is_json_with_all_figures_and_the_table_has_a_line_for_each_stage(tmp_path: Path) -> None:
    run = RUN.tensors()
    case = between(tmp_path, run, Run(guidance=5).tensors() | {"decoded": run["decoded"] * np.float32(np.nan)})
    told = json.loads(json.dumps(case.as_json(), allow_nan=False))
    (stage,) = (stage for stage in told["stages"] if stage["name"] == "model_output.0")
    assert stage.keys() >= {
        "max_abs",
        "mean_abs",
        "relative",
        "cosine",
        "psnr",
        "equal",
        "tolerance",
        "tolerance_reason",
    }
    expected = apart(run["model_output.0"], Run(guidance=5).tensors()["model_output.0"])
    assert stage["relative"] == pytest.approx(expected.relative, rel=1e-5)
    lines = words.table(case).splitlines()
    assert len(lines) == 1 + len(case.stages)
    assert [line.split()[:2] for line in lines if " first " in line] == [["model_output.0", "first"]]


def test_the_picture_marks_every_stage_on_a_logarithmic_axis(tmp_path: Path) -> None:
    case = between(tmp_path, RUN.tensors(), Run(guidance=5).tensors())
    case.stages[0].note = "<script>&"
    root = ET.fromstring(picture.draw(case))  # noqa: S314  # our own
    space = "{http://www.w3.org/2000/svg}"
    marks = [each.findtext(f"{space}title") or "" for each in root.iter(f"{space}circle")]
    assert [mark.split(":")[0] for mark in marks] == [stage.name for stage in case.stages]
    labels = [each.text for each in root.iter(f"{space}text")]
    assert {"1e-6", "1e-5", "equal", "model_output.0"} <= set(labels)
    heights = {
        tick: float(each.get("y") or 0) for each in root.iter(f"{space}text") if (tick := each.text or "")[:2] == "1e"
    }
    assert heights["1e-5"] - heights["1e-4"] == pytest.approx(heights["1e-4"] - heights["1e-3"], abs=0.3)


def test_measures_are_as_they_are_defined() -> None:
    one, two = np.array([1.0, 2.0, 3.0, 4.0], np.float32), np.array([1.0, 2.0, 3.0, 6.0], np.float32)
    measured = apart(one, two)
    assert (measured.largest, measured.mean, measured.equal) == (2.0, 0.5, 0.75)
    assert measured.relative == pytest.approx(2 / np.sqrt(30))
    assert measured.cosine == pytest.approx(38 / np.sqrt(30 * 50))
    assert measured.psnr == pytest.approx(20 * np.log10(3 / 1.0))
    assert measured.peak == pytest.approx(2 / (4 + np.sqrt(30 / 4)))


def test_tolerances_grow_with_what_came_in_up_to_a_bound() -> None:
    figures = tolerances().dtypes["bfloat16"]
    assert limit("model_output.0", "bfloat16", 0, proven=False).value == figures.network
    assert limit("noise", "bfloat16", 0, proven=False).value == figures.drawn
    assert limit("model_output.9", "bfloat16", 0.01, proven=False).value == pytest.approx(figures.network + 0.02)
    assert limit("model_output.9", "bfloat16", 10, proven=False).value == figures.most
    assert limit("timesteps", "int64", 0, proven=False).value == 0


@given(data=st.binary(max_size=200))
def test_any_bytes_for_a_trace_are_answered_in_words(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("trace")
    (folder / "trace.json").write_bytes(data)
    with pytest.raises(JudgeError, match=r"docs/judge/traces\.md"):
        traces.read(folder)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"file": "../elsewhere.safetensors"}, "is no name that a file in the folder can have"),
        ({"file": "/etc/passwd"}, "is no name that a file in the folder can have"),
        ({"file": "link.safetensors"}, "is no file"),
        ({"file": "pipe.safetensors"}, "is no file"),
        ({"file": "missing.safetensors"}, "is no file"),
        ({"file": "case.safetensors", "sha256": "0" * 64}, "their sha256 differ"),
        ({"file": "short.safetensors"}, "is no whole safetensors file"),
        ({"file": "empty.safetensors"}, "is no whole safetensors file"),
        ({"file": "trace.json"}, "is no whole safetensors file"),
        ({"file": "case.safetensors", "stages": {"condition.0": {}}}, "holds no condition.0, which trace.json names"),
        (
            {"file": "case.safetensors", "stages": {"noise": {"shape": [4]}}},
            r"has the shape \[1, 16, 16, 24\], by trace.json \[4\]",
        ),
        ({"file": "eight.safetensors"}, "decoded is of the dtype F8_E8M0; write it as bfloat16 or float32"),
        ({"file": "none.safetensors"}, "no stage is in both traces"),
        ({"file": "odd.safetensors"}, r"names a tensor 'noise\\nthe end\\x1b\[2J'; docs/judge/traces.md has the names"),
        ({"file": "long.safetensors"}, "no stage is in both traces"),
        ({"file": "case.safetensors", "steps": -1}, "steps"),
        ({"file": "case.safetensors", "every": 0}, "every"),
        ({}, "file: Field required"),
    ],
)
def test_a_broken_or_hostile_trace_is_refused_in_words(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    run = RUN.tensors()
    reference = write(tmp_path / "reference", {"case": run | {"decoded": np.ones(3, np.float32)}})
    names = {"none": "unheard_of", "odd": "noise\nthe end\x1b[2J", "long": f"latents.{'9' * 5000}"}
    folder = write(tmp_path / "other", {"case": run, **{case: {name: run["noise"]} for case, name in names.items()}})
    whole = (folder / "case.safetensors").read_bytes()
    (tmp_path / "elsewhere.safetensors").write_bytes(whole)
    (folder / "short.safetensors").write_bytes(whole[:-5])
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "eight.safetensors").write_bytes(of_eight_bits("F8_E8M0", bytes(3)))
    (folder / "link.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "trace.json").write_text(json.dumps({"cases": {"case": entry}}))
    with pytest.raises(JudgeError, match=said):
        compared(reference, folder)


def of_eight_bits(dtype: str, values: bytes) -> bytes:
    """A safetensors file of one stage, of a dtype that numpy's writer has not."""
    header = json.dumps(
        {"decoded": {"dtype": dtype, "shape": [len(values)], "data_offsets": [0, len(values)]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + values


@pytest.mark.parametrize(
    ("dtype", "of"), [("F8_E4M3", ml_dtypes.float8_e4m3fn), ("F8_E5M2", ml_dtypes.float8_e5m2)], ids=["E4M3", "E5M2"]
)
def test_every_value_of_eight_bits_is_read_as_it_is(tmp_path: Path, dtype: str, of: Any) -> None:
    codes = bytes(range(256))
    values = np.frombuffer(codes, of)
    assert np.array_equal(values.astype(DTYPES["bf16"]).astype(np.float64), values.astype(np.float64), equal_nan=True)
    reference = write(tmp_path / "reference", {"case": {"decoded": values.astype(DTYPES["bf16"])}})
    for name, bits in (("same", codes), ("other", bytes([1]) + codes[1:])):
        folder = write(tmp_path / name, {"case": {"decoded": np.ones(3, np.float32)}})
        (folder / "case.safetensors").write_bytes(of_eight_bits(dtype, bits))
        (folder / "trace.json").write_text(json.dumps({"cases": {"case": {"file": "case.safetensors"}}}))
        (case,) = compared(reference, folder, EXACT).cases
        assert first(case) == (None if name == "same" else "decoded")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"cases": {"another": {"file": "case.safetensors"}}},
            "no case is in both: the reference has case, the other another",
        ),
        ({"cases": {}}, "no case is in both: the reference has case, the other none"),
        ({"cases": {"../../case": {"file": "case.safetensors"}}}, "is no name that a file in the folder can have"),
        ({"schema_version": 2, "cases": {}}, "schema_version"),
        ([], "Input should be"),
    ],
)
def test_an_index_with_nothing_to_compare_is_refused_in_words(tmp_path: Path, other: Any, said: str) -> None:
    reference = write(tmp_path / "reference", {"case": RUN.tensors()})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "trace.json").write_text(json.dumps(other))
    with pytest.raises(JudgeError, match=re.escape(said)):
        compared(reference, tmp_path / "other")


def test_packing_and_unpacking_are_each_others_inverse() -> None:
    noise = RUN.tensors()["noise"]
    assert (unpacked(packed(noise)) == noise).all()
