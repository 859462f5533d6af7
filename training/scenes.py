"""What can be drawn, and the sentences that ask for it: scenes and prompts, drawn at random as tensors.

A tenth of the combinations is held out: the training never asks for one, and the measurement for no other.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

COLOURS = {
    "red": (220, 40, 45),
    "yellow": (250, 220, 60),
    "green": (50, 165, 75),
    "blue": (45, 95, 215),
    "purple": (130, 60, 180),
    "pink": (245, 135, 190),
}
BACKGROUNDS = {"white": (248, 247, 243), "grey": (150, 152, 156), "black": (28, 28, 34)}
SHAPES = ("circle", "square", "triangle", "star", "heart")
SIZES = {"small": 0.15, "": 0.19, "large": 0.23}  # radius as a share of the picture's side
RELATIONS = {"left": ("", "", "left", "of"), "right": ("", "", "right", "of"), "above": ("above",), "below": ("below",)}
PLACES = {
    ("in", "the", "middle"): (0.5, 0.5),
    ("at", "the", "left"): (0.27, 0.5),
    ("at", "the", "right"): (0.73, 0.5),
    ("at", "the", "top"): (0.5, 0.27),
    ("at", "the", "bottom"): (0.5, 0.73),
}
OTHER_WORDS = ("a", "the", "on", "in", "at", "of", "into", "make", "turn", "background")
WORDS = tuple(
    dict.fromkeys(
        [*OTHER_WORDS, *COLOURS, *BACKGROUNDS, *SHAPES]
        + [word for words in (SIZES, *RELATIONS.values(), *PLACES) for word in words if word]
    )
)
LENGTH = 16  # tokens of a prompt, its end included
PAIR_SHARE, UNSAID = 0.7, 0.2  # shares of pictures with two shapes, and of white backgrounds that are not named
HELD_OUT = 10  # one combination of so many


def held_out(*words: str) -> bool:
    """Whether a combination is kept from training."""
    return zlib.crc32(" ".join(words).encode()) % HELD_OUT == 0


def index(word: str) -> int:
    """The number of a word; -1 for none."""
    return WORDS.index(word) if word else -1


def text(ids: Tensor) -> list[str]:
    """Rows of word numbers as sentences."""
    return [" ".join(WORDS[number] for number in row if number >= 0) for row in ids.tolist()]


@dataclass(frozen=True)
class Scenes:
    """Pictures of one or two shapes. First dimension: pictures; second, where there is one: the two shapes."""

    pair: Tensor  # bool: is there a second shape
    colour: Tensor
    shape: Tensor
    size: Tensor
    place: Tensor  # number of the relation of a pair, of the place of a single shape
    background: Tensor
    centre: Tensor  # (pictures, 2, 2): x and y, 0..1 from the top left
    radius: Tensor  # (pictures, 2): shares of the side; 0 for a shape that is not there


def _table(rows: Sequence[Any], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)


def _said(names: Sequence[tuple[str, ...]], device: torch.device) -> Tensor:
    """Names of several words as rows of four word numbers."""
    return _table([[index(word) for word in name] + [-1] * (4 - len(name)) for name in names], device)


class Grammar:
    """Draws scenes and says them in words: those for training, or those that are held out."""

    def __init__(self, device: torch.device, *, unseen: bool) -> None:
        self.device = device
        colours, shapes, relations, places = list(COLOURS), list(SHAPES), list(RELATIONS), list(PLACES)

        def kept(*words: str) -> bool:
            return held_out(*words) == unseen

        pairs = itertools.product(
            range(len(colours)), range(len(shapes)), range(4), range(len(colours)), range(len(shapes))
        )
        self._pairs = _table(
            [
                (c, s, r, d, t)
                for c, s, r, d, t in pairs
                if c != d and kept(colours[c], shapes[s], relations[r], colours[d], shapes[t])
            ],
            device,
        )
        singles = itertools.product(range(len(colours)), range(len(shapes)), range(len(places)))
        self._singles = _table([(c, s, p) for c, s, p in singles if kept(colours[c], shapes[s], *places[p])], device)
        self._recolours = _table(
            [[[kept("make", c, s, new) and c != new for new in colours] for s in shapes] for c in colours], device
        ).float()
        self._reshapes = _table(
            [[[kept("turn", c, s, new) and s != new for new in shapes] for s in shapes] for c in colours], device
        ).float()
        self._numbers = torch.arange(len(WORDS), device=device)[:, None]
        self._words = {
            "colour": _table([index(each) for each in colours], device),
            "shape": _table([index(each) for each in shapes], device),
            "size": _table([index(each) for each in SIZES], device),
            "background": _table([index(each) for each in BACKGROUNDS], device),
            "relation": _said(list(RELATIONS.values()), device),
            "place": _said(places, device),
        }
        self._jitter = torch.tensor([(0.06, 0.02), (0.02, 0.06)], device=device)
        self._sizes = torch.tensor(list(SIZES.values()), device=device)
        self._places = torch.tensor(list(PLACES.values()), device=device)
        left, right, top, bottom = ((0.26, 0.5), (0.74, 0.5), (0.5, 0.26), (0.5, 0.74))
        self._relations = torch.tensor([(left, right), (right, left), (top, bottom), (bottom, top)], device=device)

    def _number(self, count: int, limit: int) -> Tensor:
        return torch.randint(limit, (count,), device=self.device)

    def _spread(self, *shape: int) -> Tensor:
        """Draws from -1 to 1."""
        return torch.rand(shape, device=self.device) * 2 - 1

    def scenes(self, count: int) -> Scenes:
        """So many random scenes."""
        pair = torch.rand(count, device=self.device) < PAIR_SHARE
        two = self._pairs[self._number(count, len(self._pairs))]
        one = self._singles[self._number(count, len(self._singles))]
        first = torch.where(pair[:, None], two[:, :2], one[:, :2])
        place = torch.where(pair, two[:, 2], one[:, 2])
        size = torch.stack([self._number(count, len(SIZES)) for _ in range(2)], dim=1)
        across = place.clamp(max=3) < 2  # a pair side by side moves up and down more than it does across
        jitter = torch.where(pair[:, None], self._jitter[across.long()], 0.04)
        centre = torch.where(
            pair[:, None, None], self._relations[place.clamp(max=3)], self._places[place][:, None].expand(-1, 2, -1)
        )
        there = torch.stack([torch.ones_like(pair), pair], dim=1)
        return Scenes(
            pair=pair,
            colour=torch.stack([first[:, 0], two[:, 3]], dim=1),
            shape=torch.stack([first[:, 1], two[:, 4]], dim=1),
            size=size,
            place=place,
            background=self._number(count, len(BACKGROUNDS)),
            centre=centre + jitter[:, None] * self._spread(count, 2, 2),
            radius=self._sizes[size] * (1 + 0.04 * self._spread(count, 2)) * there,
        )

    def captions(self, scenes: Scenes) -> Tensor:
        """A sentence for each scene, as rows of LENGTH word numbers, -1 behind its end."""
        words, count, nothing = self._words, len(scenes.pair), torch.full_like(scenes.place, -1)
        relation = words["relation"][scenes.place.clamp(max=3)]
        where = torch.where(scenes.pair[:, None], relation, words["place"][scenes.place])
        second = [torch.where(scenes.pair, column, nothing) for column in self._thing(scenes, 1)]
        chance = torch.rand(count, device=self.device)
        silent = (scenes.background == 0) & (chance < UNSAID)  # white is what is meant where nothing is said
        ground = [self._word("on"), self._word("a"), words["background"][scenes.background], self._word("background")]
        last = [torch.where(silent, nothing, column.expand(count)) for column in ground]
        return self._rows([*self._thing(scenes, 0), *where.unbind(1), *second, *last], count)

    def edits(self, scenes: Scenes) -> tuple[Scenes, Tensor, Tensor]:
        """One change to each scene: the scenes after it, the sentences that ask for it, whether each is of our kind.

        A background is never held out, and a shape may have no change that is.
        """
        words, count = self._words, len(scenes.pair)
        kind = self._number(count, 3)
        which = (torch.rand(count, device=self.device) < 0.5) & scenes.pair
        choice = which.long()[:, None]
        other = 1 - choice
        colour, shape = (each.gather(1, choice)[:, 0] for each in (scenes.colour, scenes.shape))
        recolours = self._recolours[colour, shape]
        partner = torch.where(scenes.pair[:, None], scenes.colour.gather(1, other), -1)
        recolours = recolours * (torch.arange(len(COLOURS), device=self.device) != partner)
        new_colour, new_shape = (self._one_of(each) for each in (recolours, self._reshapes[colour, shape]))
        ground = (scenes.background + 1 + self._number(count, len(BACKGROUNDS) - 1)) % len(BACKGROUNDS)
        after = replace(
            scenes,
            colour=torch.where(
                kind[:, None] == 0, scenes.colour.scatter(1, choice, new_colour[:, None]), scenes.colour
            ),
            shape=torch.where(kind[:, None] == 1, scenes.shape.scatter(1, choice, new_shape[:, None]), scenes.shape),
            background=torch.where(kind == 2, ground, scenes.background),
        )
        sentences = [
            [
                self._word("make"),
                self._word("the"),
                words["colour"][colour],
                words["shape"][shape],
                words["colour"][new_colour],
            ],
            [
                *(self._word("turn"), self._word("the"), words["colour"][colour], words["shape"][shape]),
                *(self._word("into"), self._word("a"), words["shape"][new_shape]),
            ],
            [self._word("make"), self._word("the"), self._word("background"), words["background"][ground]],
        ]
        rows = torch.stack([self._rows(columns, count) for columns in sentences])
        some = torch.stack([recolours.amax(dim=1) > 0, self._reshapes[colour, shape].amax(dim=1) > 0, kind < 0])
        return after, rows.gather(0, kind[None, :, None].expand(1, -1, LENGTH))[0], some.gather(0, kind[None])[0]

    def _one_of(self, allowed: Tensor) -> Tensor:
        return ((allowed + 1e-6) * (0.01 + torch.rand(allowed.shape, device=self.device))).argmax(dim=1)

    def _word(self, word: str) -> Tensor:
        return self._numbers[index(word)]

    def _thing(self, scenes: Scenes, number: int) -> list[Tensor]:
        """The words of a shape: `a large red circle`."""
        columns = {"size": scenes.size, "colour": scenes.colour, "shape": scenes.shape}
        return [self._word("a"), *(self._words[name][column[:, number]] for name, column in columns.items())]

    def _rows(self, columns: list[Tensor], count: int) -> Tensor:
        """Columns of word numbers as rows without gaps, LENGTH wide."""
        return packed(torch.stack([column.expand(count) for column in columns], dim=1))


def packed(rows: Tensor) -> Tensor:
    """Rows of word numbers with their gaps (-1) moved behind the end, LENGTH wide."""
    order = torch.argsort((rows < 0).to(torch.uint8), dim=1, stable=True)
    return torch.nn.functional.pad(rows.gather(1, order), (0, LENGTH - rows.shape[1]), value=-1)
