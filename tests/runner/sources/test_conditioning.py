"""The size rules of upstream's generator, against the published sizes and against Diffusers' own."""

from __future__ import annotations

import pytest
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit import calculate_dimensions
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gt_runner.sources.conditioning import AREA, condition, flux_size, qwen_size

sides = st.integers(64, 4096)


@given(width=sides, height=sides)
def test_flux_never_grows_an_input_and_stays_on_the_grid(width: int, height: int) -> None:
    new = flux_size(width, height)
    assert new[0] <= width
    assert new[1] <= height
    assert new[0] * new[1] <= AREA
    assert all(side % 16 == 0 for side in new)


def test_flux_keeps_a_small_input_but_for_the_grid() -> None:
    assert flux_size(100, 70) == (96, 64)


@pytest.mark.parametrize("size", [(1536, 1024), (1248, 832), (3000, 2000)])
def test_an_input_of_three_to_two_gives_the_published_sizes(size: tuple[int, int]) -> None:
    assert qwen_size(*size) == (1248, 832)
    assert flux_size(*size) == (1248, 832)


@given(width=sides, height=sides)
def test_qwen_sizes_are_those_of_diffusers_own_pipeline(width: int, height: int) -> None:
    wide, high, *_ = calculate_dimensions(AREA, width / height)
    assert qwen_size(width, height) == (wide // 16 * 16, high // 16 * 16)


def test_each_rule_prepares_the_images_as_its_pipeline_wants_them() -> None:
    small, large = Image.new("RGB", (100, 70)), Image.new("RGBA", (2048, 2048), (1, 2, 3, 4))
    resized, size = condition("flux", [small, large])
    assert [(image.mode, image.size) for image in resized] == [("RGB", (96, 64)), ("RGBA", (1024, 1024))]
    assert size == {"width": 1024, "height": 1024}
    raw, size = condition("qwen_edit", [small])
    assert [(image.mode, image.size) for image in raw] == [("RGB", (100, 70))]
    assert size == {"width": 1216, "height": 864}
    layered, _ = condition("qwen_layered", [small])
    assert layered[0].mode == "RGBA"
    assert condition("raw", [large]) == ([large.convert("RGB")], {})
