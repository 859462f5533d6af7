"""Draws scenes as pictures, many at once: each shape by its distance function, with a dark outline."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from .scenes import BACKGROUNDS, COLOURS, SHAPES, Scenes

OUTLINE = 0.025  # width as a share of the side


@functools.cache
def palette(device: torch.device) -> Tensor:
    """The colours of shapes, then those of backgrounds; (colours, 3), 0..1."""
    return torch.tensor([*COLOURS.values(), *BACKGROUNDS.values()], device=device) / 255


def draw(scenes: Scenes, side: int) -> Tensor:
    """Pictures of these scenes, (pictures, 3, side, side), 0..1."""
    device = scenes.centre.device
    colours = palette(device)
    ink = colours[len(COLOURS) + list(BACKGROUNDS).index("black"), :, None, None]
    axis = (torch.arange(side, device=device) + 0.5) / side
    picture = colours[len(COLOURS) + scenes.background][:, :, None, None].expand(-1, -1, side, side)
    for number in range(scenes.colour.shape[1]):
        radius = scenes.radius[:, number, None, None]
        x = (axis[None, None, :] - scenes.centre[:, number, 0, None, None]) / radius.clamp(min=1e-3)
        y = (axis[None, :, None] - scenes.centre[:, number, 1, None, None]) / radius.clamp(min=1e-3)
        depth = -distance(scenes.shape[:, number, None, None], x, y) * radius * side  # pixels inside
        outer = ((depth + 0.5).clamp(0, 1) * (radius > 0))[:, None]
        inner = (depth - OUTLINE * side + 0.5).clamp(0, 1)[:, None]
        thing = ink + (colours[scenes.colour[:, number]][:, :, None, None] - ink) * inner
        picture = picture + (thing - picture) * outer
    return picture


def distance(shape: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to the edge of a shape of radius 1 around 0, negative inside; y points down."""
    x, y = x + 0 * y, y + 0 * x
    result = torch.zeros_like(x)
    for number, name in enumerate(SHAPES):
        result = torch.where(shape == number, DISTANCES[name](x, y), result)
    return result


def _circle(x: Tensor, y: Tensor) -> Tensor:
    return torch.hypot(x, y) - 0.9


def _square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.8


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(y - 0.7, x.abs() * math.cos(math.pi / 6) - (y + 1) * math.sin(math.pi / 6))


def _star(x: Tensor, y: Tensor) -> Tensor:
    """Five points; Inigo Quilez, distance functions in 2D."""
    x, y = x.abs(), -y
    across, down = math.cos(math.pi / 5), -math.sin(math.pi / 5)
    for side in (across, -across):
        over = 2 * (x * side + y * down).clamp(min=0)
        x, y = x - over * side, y - over * down
    x, y = x.abs(), y - 1
    to_x, to_y = -down * 0.45, across * 0.45 - 1
    along = ((x * to_x + y * to_y) / (to_x**2 + to_y**2)).clamp(0, 1)
    return torch.hypot(x - to_x * along, y - to_y * along) * torch.sign(y * to_x - x * to_y)


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """Inigo Quilez, distance functions in 2D; his is one high and stands on 0."""
    scale = 0.62
    x, y = x.abs() * scale, 0.55 - y * scale
    lobe = torch.hypot(x - 0.25, y - 0.75) - math.sqrt(2) / 4
    half = 0.5 * (x + y).clamp(min=0)
    rest = torch.minimum(x**2 + (y - 1) ** 2, (x - half) ** 2 + (y - half) ** 2).sqrt() * torch.sign(x - y)
    return torch.where(x + y > 1, lobe, rest) / scale


DISTANCES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
}
