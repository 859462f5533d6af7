"""What a source cannot do is said of the case before anything is fetched or loaded."""

from __future__ import annotations

from typing import Any

import pytest

from gt_runner.errors import SourceError
from gt_runner.sources.refusals import OWNED, check
from tests.support.factory import body

WAN = {"generator_device": "cuda", "quantization": "none", "offload": "none"}
LTX = {
    **WAN,
    "dtype": "bf16",
    "sdp_backends": {"cudnn": True, "flash": True, "mem_efficient": True, "math": True},
}


def case(source: str, **changes: Any) -> Any:
    return {"id": "a", "source": source, **body(), **changes}


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_the_runner_sets_itself_is_no_extra_argument(name: str) -> None:
    with pytest.raises(SourceError, match=f"call.extra names {name}, which the runner sets itself"):
        check(case("diffusers", call={"prompt": "a", "seed": 1, "extra": {name: None}}), "cuda")


def test_one_argument_is_not_named_twice() -> None:
    with pytest.raises(SourceError, match="both name prompt"):
        check(case("smoke", call={"prompt": "a", "seed": 1, "extra": {"prompt": "b"}}), "cpu")


def test_latents_are_no_image() -> None:
    with pytest.raises(SourceError, match="output_type 'latent' gives no image"):
        check(case("diffusers", call={"prompt": "a", "seed": 1, "output_type": "latent"}), "cpu")


@pytest.mark.parametrize(
    ("source", "device", "runtime"),
    [
        ("wan21", "cpu", WAN),
        ("wan21", "cuda", WAN | {"generator_device": "cpu"}),
        ("wan21", "cuda", WAN | {"quantization": "fp8"}),
        ("wan21", "cuda", WAN | {"offload": "sequential"}),
        ("wan22", "cpu", WAN),
        ("wan22", "cuda", WAN | {"generator_device": "cpu"}),
        ("ltx", "cuda", LTX | {"dtype": "fp32"}),
        ("ltx", "cuda", LTX | {"generator_device": "cpu"}),
        ("ltx", "cuda", LTX | {"offload": "model"}),
        ("ltx", "cuda", LTX | {"sdp_backends": {"math": True}}),
    ],
)
def test_a_runtime_that_a_source_does_not_have_is_refused(source: str, device: str, runtime: dict[str, Any]) -> None:
    with pytest.raises(SourceError):
        check(case(source, runtime=runtime), device)


@pytest.mark.parametrize(("source", "runtime"), [("wan21", WAN), ("wan22", WAN), ("ltx", LTX)])
def test_what_the_official_cases_ask_for_is_not_refused(source: str, runtime: dict[str, Any]) -> None:
    check(case(source, runtime=runtime), "cuda")


def test_a_serving_engines_case_is_left_to_it() -> None:
    check(case("native", engine={}, call={"extra": {"seed": 1}}), "cpu")
