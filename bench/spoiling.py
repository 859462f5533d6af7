"""Twelve ways to spoil an image at three strengths, and ways to change one that harm nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

STRENGTHS = ("weak", "middle", "strong")

Change = Callable[[Image.Image, Image.Image], Image.Image]  # of an image; the second one is another of the set


def _image(values: Any) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _values(image: Image.Image) -> Any:
    return np.asarray(image).astype(float)


def _blur(radius: float) -> Change:
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(radius))


def _noise(sigma: float) -> Change:
    def change(image: Image.Image, _: Image.Image) -> Image.Image:
        values = _values(image)
        return _image(values + np.random.default_rng(0).normal(0, sigma, values.shape))

    return change


def _shift(pixels: int) -> Change:
    return lambda image, _: _image(np.roll(_values(image), pixels, 1))


def _crop(share: float) -> Change:
    def change(image: Image.Image, _: Image.Image) -> Image.Image:
        width, height = round(image.width * share), round(image.height * share)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        part = image.crop((left, top, left + width, top + height))
        return part.resize(image.size, Image.Resampling.BICUBIC)

    return change


def _rotation(degrees: float) -> Change:
    return lambda image, _: image.rotate(degrees, Image.Resampling.BICUBIC)


def _brightness(levels: int) -> Change:
    return lambda image, _: _image(_values(image) + levels)


def _contrast(share: float) -> Change:
    return lambda image, _: ImageEnhance.Contrast(image).enhance(share)


def _red_for_blue(share: float) -> Change:
    return lambda image, _: _image((1 - share) * _values(image) + share * _values(image)[..., ::-1])


def _jpeg(quality: int) -> Change:
    def change(image: Image.Image, _: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return change


def _blocks(side: int) -> Change:
    def change(image: Image.Image, _: Image.Image) -> Image.Image:
        small = image.resize((max(1, image.width // side), max(1, image.height // side)), Image.Resampling.BOX)
        return small.resize(image.size, Image.Resampling.NEAREST)

    return change


def _hole(share: float) -> Change:
    def change(image: Image.Image, _: Image.Image) -> Image.Image:
        values, height, width = _values(image), round(image.height * share), round(image.width * share)
        top, left = (image.height - height) // 2, (image.width - width) // 2
        values[top : top + height, left : left + width] = 0
        return _image(values)

    return change


def _other(share: float) -> Change:
    return lambda image, other: Image.blend(image, other.resize(image.size, Image.Resampling.BICUBIC), share)


SPOILT: Mapping[str, tuple[Change, Change, Change]] = {
    "blur, radius 1, 2, 4 px": (_blur(1), _blur(2), _blur(4)),
    "noise of 5, 15, 40 levels": (_noise(5), _noise(15), _noise(40)),
    "shift by 1, 4, 16 px": (_shift(1), _shift(4), _shift(16)),
    "crop to 98, 90, 70 % of a side": (_crop(0.98), _crop(0.9), _crop(0.7)),
    "rotation by 0.5, 2, 8°": (_rotation(0.5), _rotation(2), _rotation(8)),
    "brighter by 8, 25, 60": (_brightness(8), _brightness(25), _brightness(60)),
    "contrast at 90, 60, 30 %": (_contrast(0.9), _contrast(0.6), _contrast(0.3)),
    "red for blue, 30, 60, 100 %": (_red_for_blue(0.3), _red_for_blue(0.6), _red_for_blue(1)),
    "JPEG of quality 50, 20, 5": (_jpeg(50), _jpeg(20), _jpeg(5)),
    "blocks of 2, 4, 16 px": (_blocks(2), _blocks(4), _blocks(16)),
    "black hole, 5, 15, 40 % of a side": (_hole(0.05), _hole(0.15), _hole(0.4)),
    "another image, 10, 40, 100 %": (_other(0.1), _other(0.4), _other(1)),
}
HARMLESS: Mapping[str, Change] = {
    "rounding: noise of half a level": _noise(0.5),
    "JPEG of quality 95": _jpeg(95),
}
