"""Whatever layout a pipeline returns, the files are the same uint8 RGB under the published names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from gt_runner.errors import SourceError
from gt_runner.sources import frames
from gt_runner.work import output as images

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)
FLOATS = PIXELS.astype(np.float32) / 255
PIL = [Image.fromarray(frame) for frame in PIXELS]
WITH_ALPHA = [image.copy() for image in PIL]
for image in WITH_ALPHA:
    image.putalpha(7)
CHANNELS_FIRST = torch.from_numpy(FLOATS).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "result",
    [
        PIL,
        [PIL],
        [WITH_ALPHA],
        tuple(PIL),
        PIXELS,
        PIXELS[None],
        FLOATS,
        FLOATS[None],
        list(FLOATS),
        CHANNELS_FIRST,
        CHANNELS_FIRST[None],
        list(CHANNELS_FIRST),
        CHANNELS_FIRST.to(torch.float64),
        torch.from_numpy(PIXELS).permute(0, 3, 1, 2),
        np.concatenate([FLOATS, np.ones((2, 8, 6, 1), np.float32)], axis=-1),
    ],
    ids=lambda result: f"{type(result).__name__}",
)
def test_every_layout_becomes_the_same_frames(result: Any) -> None:
    uint8 = frames.to_frames(result)
    assert uint8.dtype == np.uint8
    np.testing.assert_array_equal(uint8, PIXELS)


def test_one_image_is_one_frame_and_grey_becomes_rgb() -> None:
    assert frames.to_frames(PIL[0]).shape == (1, 8, 6, 3)
    grey = frames.to_frames(np.full((8, 6, 1), 0.5, np.float32))
    assert grey.shape == (1, 8, 6, 3)
    assert set(np.unique(grey)) == {128}


@pytest.mark.parametrize("result", [[], None, "image", np.zeros((4, 4)), [PIL[0], Image.new("RGB", (3, 3))]])
def test_what_is_no_image_is_refused(result: Any) -> None:
    with pytest.raises(SourceError):
        frames.to_frames(result)


WHAT_IS_NO_IMAGE = {
    "NaN": FLOATS * np.nan,
    "infinity": FLOATS + np.inf,
    "values in -1..1": FLOATS * 2 - 1,
    "values in 0..255 as floats": PIXELS.astype(np.float32),
    "latents of four channels": torch.randn(1, 4, 8, 6),
    "latents of sixteen channels": torch.randn(1, 16, 8, 6),
    "packed latents": torch.randn(1, 64, 64),
    "latents of a video": torch.randn(1, 4, 3, 8, 6),
    "64-bit integers": PIXELS.astype(np.int64),
    "16-bit image": Image.fromarray(np.full((8, 6), 40000, np.uint16)),
    "CMYK image": Image.new("CMYK", (6, 8)),
    "image of floats": Image.new("F", (6, 8)),
}


@pytest.mark.parametrize("result", WHAT_IS_NO_IMAGE.values(), ids=WHAT_IS_NO_IMAGE)
def test_what_would_be_saved_as_another_picture_is_refused_and_described(result: Any) -> None:
    with pytest.raises(SourceError, match=r"the pipeline returned .*(float|int|mode)"):
        frames.to_frames(result)


@given(pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_floats_come_back_as_the_pixels_they_stand_for(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    np.testing.assert_array_equal(frames.to_frames(pixels.astype(np.float32) / 255)[0], pixels)


def case(**output: Any) -> Any:
    return {"id": "a_case", "output": {"name_gpus": 2, **output}}


def test_an_image_has_its_published_name_and_encoding(tmp_path: Path) -> None:
    (path,) = images.save(PIXELS[:1], case(kind="image", format="jpg", quality=75), tmp_path)
    assert path.name == "a_case_2gpu.jpg"
    direct = tmp_path / "direct.jpg"
    Image.fromarray(PIXELS[0]).save(direct, quality=75, subsampling="4:2:0")
    assert path.read_bytes() == direct.read_bytes()


def test_png_keeps_every_bit(tmp_path: Path) -> None:
    (path,) = images.save(PIXELS[:1], case(kind="image", format="png"), tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), PIXELS[0])


def test_which_of_several_images_is_kept_is_the_cases_to_say(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="keep: first"):
        images.save(PIXELS, case(kind="image", format="png"), tmp_path)
    (path,) = images.save(PIXELS, case(kind="image", format="png", keep="first"), tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), PIXELS[0])


@pytest.mark.parametrize(("count", "kept"), [(1, [0, 0, 0]), (17, [0, 8, 16]), (21, [0, 10, 20]), (25, [0, 12, 24])])
def test_a_video_gives_its_first_middle_and_last_frame_as_the_codec_leaves_them(
    tmp_path: Path, count: int, kept: list[int]
) -> None:
    levels = np.linspace(20, 230, count).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (count, 48, 64, 3))
    output = {"kind": "video", "format": "png", "fps": 24, "codec": "libx264", "video_quality": 5}
    paths = images.save(np.ascontiguousarray(frames), case(**output), tmp_path)
    assert [path.name for path in paths] == [f"a_case_2gpu_frame_{name}.png" for name in ("0", "mid", "last")]
    means = [float(np.asarray(Image.open(path)).mean()) for path in paths]
    assert means == pytest.approx([float(levels[index]) for index in kept], abs=6)
    assert {Image.open(path).size for path in paths} == {(64, 48)}


VIDEO = {"kind": "video", "format": "png", "fps": 24, "codec": "libx264", "video_quality": 5}


@pytest.mark.parametrize("size", [(200, 120), (101, 67), (67, 100), (18, 2), (17, 17), (64, 48), (832, 480)])
def test_frames_of_a_video_have_the_size_that_the_pipeline_made(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    ramp = np.linspace(30, 220, width, dtype=np.uint8)
    made = np.ascontiguousarray(np.broadcast_to(ramp[None, None, :, None], (5, height, width, 3)))
    for path in images.save(made, case(**VIDEO), tmp_path):
        saved = np.asarray(Image.open(path))
        assert saved.shape == (height, width, 3)
        assert np.abs(saved.astype(int) - made[0]).mean() < 6  # nothing was scaled or shifted


@pytest.mark.parametrize("size", [(64, 48), (208, 128)])
def test_sizes_that_the_encoder_took_before_keep_their_bytes(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    made = np.random.default_rng(2).integers(0, 256, (5, height, width, 3), dtype=np.uint8)
    options: dict[str, Any] = {"fps": 24, "codec": "libx264", "quality": 5, "output_params": ["-threads", "1"]}
    imageio.mimsave(tmp_path / "plain.mp4", list(made), format="FFMPEG", **options)
    plain = images._read_back(tmp_path / "plain.mp4")
    for path, frame in zip(images.save(made, case(**VIDEO), tmp_path), plain, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), frame)


@pytest.mark.parametrize(
    ("passed", "size", "grid"),
    [
        ({"width": 64, "height": 48}, (64, 48), 0),
        ({"size": [64, 48]}, (64, 48), 0),
        ({}, (640, 640), 0),
        ({"width": 250, "height": 130}, (248, 128), 8),
        ({"width": 250, "height": 250}, (240, 240), 16),
        ({"width": 250, "height": 64}, (224, 64), 32),
        ({"size": [250, 250]}, (240, 240), 16),
    ],
)
def test_a_size_that_the_pipeline_floors_stands_in_the_record(
    passed: dict[str, Any], size: tuple[int, int], grid: int
) -> None:
    note = images.resized(np.zeros((1, size[1], size[0], 3), np.uint8), passed)
    if not grid:
        assert note is None
        return
    assert note is not None
    assert [note["width"], note["height"]] == (passed.get("size") or [passed["width"], passed["height"]])
    assert note["reason"].endswith(f"multiples of {grid}")


@pytest.mark.parametrize("size", [(48, 64), (128, 96), (32, 32), (1024, 1024)])
def test_a_size_of_no_known_reason_fails_the_case(size: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match=f"64 x 48 pixels were asked for, and the pipeline returned {size[0]} x"):
        images.resized(np.zeros((1, size[1], size[0], 3), np.uint8), {"width": 64, "height": 48})


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (9, 48, 64, 3), dtype=np.uint8)
    output = {"kind": "video", "format": "png", "fps": 24, "codec": "libx264", "video_quality": 5}
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        runs.append([path.read_bytes() for path in images.save(frames, case(**output), tmp_path / name)])
    assert runs[0] == runs[1]
