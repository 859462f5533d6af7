"""Says what a picture shows, by its pixels alone: the colour, shape and place of each thing that was asked for."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from .drawing import OUTLINE, distance, palette
from .scenes import COLOURS, PLACES, SHAPES, Scenes

NEAR = 0.25  # of a channel's range, how far a pixel may be from a colour of the palette
LEAST_AREA = 0.002  # of the picture, for a colour to be there; the inside of the smallest star has 0.003
FOREIGN_AREA = 0.012  # of the picture, for a colour that nobody asked for to be seen
APART = 0.15  # of the side, between the centres of two things that stand left and right, or above and below
RADII = tuple(number / 200 for number in range(12, 68))  # shares of the side, that a shape is fitted with


@dataclass(frozen=True)
class Right:
    """What is right of each picture; all bool."""

    colour: Tensor  # of every thing and of the background, and no other colour to be seen
    shape: Tensor  # of every thing
    place: Tensor  # of a single thing, or of two to each other

    @property
    def all(self) -> Tensor:
        """Everything at once."""
        return self.colour & self.shape & self.place

    def shares(self) -> dict[str, float]:
        """By what is asked, the share of pictures where it is right."""
        parts = {"colour": self.colour, "shape": self.shape, "place": self.place, "all": self.all}
        return {name: round(float(part.float().mean()), 4) for name, part in parts.items()}


@dataclass(frozen=True)
class Thing:
    """Where each picture shows a colour."""

    area: Tensor  # share of the picture
    x: Tensor  # of the centre, 0..1
    y: Tensor
    shape: Tensor  # number of the shape that it looks like


def labels(pictures: Tensor) -> Tensor:
    """The number of the palette's colour at each pixel, -1 for none; pictures are (count, 3, side, side), 0..1."""
    apart = [(pictures - colour[None, :, None, None]).square().sum(dim=1) for colour in palette(pictures.device)]
    nearest, number = torch.stack(apart).min(dim=0)
    return torch.where(nearest < NEAR**2, number, -1)  # else the edge of something cyan would have green in it


def picture(pictures: Tensor, scenes: Scenes) -> Right:
    """What is right of pictures of scenes."""
    numbers = labels(pictures)
    first, second = (_thing(numbers, scenes.colour[:, number]) for number in range(2))
    there = (first.area > LEAST_AREA) & ((second.area > LEAST_AREA) | ~scenes.pair)
    foreign = torch.stack([_area(numbers == number) for number in range(len(COLOURS))])
    own = torch.stack(
        [
            (scenes.colour[:, 0] == number) | (scenes.pair & (scenes.colour[:, 1] == number))
            for number in range(len(COLOURS))
        ]
    )
    pure = ((foreign < FOREIGN_AREA) | own).all(dim=0)
    shapes = (first.shape == scenes.shape[:, 0]) & ((second.shape == scenes.shape[:, 1]) | ~scenes.pair)
    return Right(
        colour=there & pure & (_ground(numbers) == scenes.background),
        shape=there & shapes,
        place=there & torch.where(scenes.pair, _related(first, second, scenes.place), _placed(first, scenes.place)),
    )


def _area(mask: Tensor) -> Tensor:
    return mask.float().mean(dim=(1, 2))


def _ground(numbers: Tensor) -> Tensor:
    """The number of the background that most of the picture's edge shows; -1 for another colour."""
    edge = torch.cat([numbers[:, 0], numbers[:, -1], numbers[:, :, 0], numbers[:, :, -1]], dim=1)
    return edge.mode(dim=1).values - len(COLOURS)


def _thing(numbers: Tensor, colour: Tensor) -> Thing:
    mask = (numbers == colour[:, None, None]).float()
    axis = (torch.arange(mask.shape[2], device=mask.device) + 0.5) / mask.shape[2]
    area = mask.mean(dim=(1, 2))
    total = mask.sum(dim=(1, 2)).clamp(min=1)
    x, y = (mask.sum(dim=1) * axis).sum(dim=1) / total, (mask.sum(dim=2) * axis).sum(dim=1) / total
    return Thing(area, x, y, _fitted(mask, area, x, y, axis))


def _fitted(mask: Tensor, area: Tensor, x: Tensor, y: Tensor, axis: Tensor) -> Tensor:
    """The shape that overlaps best with a mask when it is given the mask's centre and area."""
    likeness = []
    for number, (areas, lows) in enumerate(_insides()):
        nearest = torch.searchsorted(areas.to(mask.device), area).clamp(max=len(RADII) - 1)
        radius, low = (each.to(mask.device)[nearest][:, None, None] for each in (torch.tensor(RADII), lows))
        across = (axis[None, None, :] - x[:, None, None]) / radius
        down = (axis[None, :, None] - y[:, None, None] + low) / radius
        inside = distance(torch.tensor(number, device=mask.device), across, down) * radius < -OUTLINE
        both, either = ((mask > 0) & inside).sum(dim=(1, 2)), ((mask > 0) | inside).sum(dim=(1, 2))
        likeness.append(both / either.clamp(min=1))
    return torch.stack(likeness).argmax(dim=0)


@functools.cache
def _insides() -> list[tuple[Tensor, Tensor]]:
    """For each shape, of each of RADII: the area within its outline, and how far below its centre the centroid lies."""
    axis = (torch.arange(256) + 0.5) / 256 - 0.5
    pairs = []
    for number in range(len(SHAPES)):
        radii = torch.tensor(RADII)[:, None, None]
        inside = distance(torch.tensor(number), axis / radii, axis[:, None] / radii) * radii < -OUTLINE
        pairs.append((_area(inside), (inside * axis[:, None]).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)))
    return pairs


def _related(first: Thing, second: Thing, relation: Tensor) -> Tensor:
    """Whether the first thing stands left, right, above or below the second, as asked."""
    x, y = first.x - second.x, first.y - second.y
    ways = torch.stack([-x, x, -y, y])
    return ways.gather(0, relation.clamp(max=3)[None])[0] >= ways.amax(dim=0).clamp(min=APART)


def _placed(thing: Thing, place: Tensor) -> Tensor:
    """Whether a single thing is nearest to the place that was asked for."""
    places = torch.tensor(list(PLACES.values()), device=place.device)
    away = torch.stack([torch.hypot(thing.x - x, thing.y - y) for x, y in places])
    return away.argmin(dim=0) == place
