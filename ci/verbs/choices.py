"""The words that options choose from."""

from __future__ import annotations

import enum

from ..catalogue import gpus


class Source(enum.Enum):
    """An implementation that runs cases."""

    DIFFUSERS = "diffusers"
    """The Diffusers pipeline of the model's repository."""

    WAN21 = "wan21"
    """The Wan2.1 repository."""

    WAN22 = "wan22"
    """The Wan2.2 repository."""

    LTX = "ltx"
    """The LTX-2 repository."""

    SMOKE = "smoke"
    """Tiny models that draw shapes, for trying out."""


class PublishWay(enum.Enum):
    """The way to a data repository."""

    GIT = "git"
    """By the git protocol: any server."""

    GITHUB_API = "github-api"
    """By GitHub's API: for repositories on GitHub that are large."""


def _member(word: str) -> str:
    """A name that GraphQL takes: it starts with a letter."""
    return f"{'RTX' if word[0].isdigit() else ''}{word}".upper().replace("-", "_")


_KINDS = {_member(name): name for name in (gpus.ANY, gpus.CPU, *gpus.GPU_KINDS)}


class GpuKind(enum.Enum):
    """Where cases run."""

    NEEDED = "needed"  # an option of a Dagger enum type cannot be null
    locals().update(_KINDS)  # data, not code: ci/catalogue/gpus.yaml

    @property
    def description(self) -> str:
        """What Dagger's help says of the word."""
        others = {
            self.NEEDED.value: "the kind that each of them needs",
            gpus.ANY: "whatever is there",
            gpus.CPU: "no GPU",
        }
        return f"On {others[self.value] if self.value in others else gpus.KINDS[self.value].title}."
