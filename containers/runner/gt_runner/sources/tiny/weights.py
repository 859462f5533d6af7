"""Fills a model's parameters from a seed, such that a stack of random layers makes soft pictures and not noise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)
Gains = Mapping[str, float]  # by a pattern that is searched in a parameter's name

COLOURS = 3


def fill(model: Model, seed: int, gains: Gains | None = None) -> Model:
    """Set every parameter of `model` in place; the same seed gives the same bytes.

    The draws are uniform: PyTorch makes those by integer arithmetic, so that they are the same on every kind of CPU,
    which normal ones are not. What follows is done in doubles, since kinds of CPU round differently, for the same end.
    Norms keep their ones and zeros. A parameter is multiplied by the gain of each pattern that its name matches.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for path, owner in model.named_modules():
            for name, parameter in owner.named_parameters(prefix=path, recurse=False):
                gain = math.prod(gain for pattern, gain in (gains or {}).items() if re.search(pattern, name))
                parameter.copy_(_drawn(owner, parameter, generator) * gain)
    return model


def _drawn(owner: nn.Module, parameter: nn.Parameter, generator: torch.Generator) -> torch.Tensor:
    if "norm" in type(owner).__name__.lower() and not isinstance(owner, nn.Linear):
        return parameter
    if isinstance(owner, nn.Conv2d | nn.Conv3d):
        return _blur(parameter.shape, generator) if parameter.ndim > 1 else torch.zeros(())
    if parameter.ndim == 1:
        return _uniform(parameter.shape, generator) * 0.1
    fan_in = 1 if isinstance(owner, nn.Embedding) else parameter.shape[-1]
    return _uniform(parameter.shape, generator) / math.sqrt(fan_in)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Draws of mean 0 and variance 1."""
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * math.sqrt(3)


def _blur(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Weights of a convolution that blurs: one binomial window for all pairs of channels, which are mixed at random."""
    *time, height, width = shape[2:]
    window = _binomial(height)[:, None] * _binomial(width)
    if time:
        window = _newest(time[0])[:, None, None] * window
    only_time = height == width == 1 and time and time[0] > 1
    mix = torch.eye(shape[1]).repeat(shape[0] // shape[1], 1) if only_time else _mix(shape[0], shape[1], generator)
    return mix.reshape(*mix.shape, *(1 for _ in window.shape)) * window


def _mix(out: int, channels: int, generator: torch.Generator) -> torch.Tensor:
    """How channels are mixed.

    A row sums to nothing: a value that all channels share would else tint the whole picture, and show at its edges,
    where it is padded with zeros. Colours share half of what they see, which keeps them from being garish.
    """
    mix = _uniform((out, channels), generator)
    mix = mix - mix.mean(dim=1, keepdim=True)
    if out == COLOURS:
        mix = (mix + mix.roll(1, dims=0)) / math.sqrt(2)
    return mix / math.sqrt(channels)


def _binomial(side: int) -> torch.Tensor:
    return torch.tensor([math.comb(side - 1, tap) for tap in range(side)]) / 2.0 ** (side - 1)


def _newest(frames: int) -> torch.Tensor:
    """Reads the newest frame alone: before the first one there are zeros, which would darken the start of a video."""
    return torch.tensor([0.0] * (frames - 1) + [1.0])
