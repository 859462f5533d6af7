"""What a comparison is held against: the noise floor of a case, and the thresholds for a serving engine's output."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ..data import Data, read
from . import learned, similarity

NOISE_FLOOR = Path(__file__).with_name("noise_floor.yaml")
SERVING_THRESHOLDS = Path(__file__).with_name("serving_thresholds.yaml")
BASE = "h100"  # the platform whose thresholds hold where a platform has none of its own
MEASURES = similarity.MEASURES | learned.MEASURES
LOWER_IS_BETTER = frozenset(name for name, words in MEASURES.items() if words["better"] == "lower")
ATTAINED = 1e-6  # a floor is met by the very pair that it was measured on: results are told with six decimals

Share = Annotated[float, Field(ge=-1, le=1)]


class Bounds(Data):
    """The worst values that count as the same."""

    ssim: Share
    psnr: float | None
    mean_abs_diff: Annotated[float, Field(ge=0, le=255)]

    def beyond(self, values: Mapping[str, float | None]) -> list[str]:
        """Each value that is worse than its bound, with both. What was not measured is not held against."""
        lines = []
        for name, bound in [*self.bounds().items(), ("alpha_diff", self.mean_abs_diff)]:
            value = values.get(name)  # None: not measured, or an infinite PSNR
            lower = name in LOWER_IS_BETTER
            if value is not None and (value > bound + ATTAINED if lower else value < bound - ATTAINED):
                lines.append(f"{name} {value:.4g} {'>' if lower else '<'} {bound:g}")
        return lines

    def bounds(self) -> dict[str, float]:
        """By measure."""
        bounds = {name: getattr(self, name, None) for name in ("clip", "ssim", "psnr", "mean_abs_diff")}
        return {name: bound for name, bound in bounds.items() if bound is not None}


class NoiseFloor(Bounds):
    """How far a case is from itself, measured. Where no pixel differs, PSNR is infinite: null."""

    hosts: Annotated[list[str], Field(min_length=2)]
    measured: dt.date
    runs: Annotated[int, Field(ge=2)]
    tool_commit: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    setting: str | None = Field(None, description="What was run, where it was not the case itself with its weights.")

    @model_validator(mode="after")
    def _infinite_only_where_nothing_differs(self) -> Self:
        if (self.psnr is None) != (self.ssim == 1 and self.mean_abs_diff == 0):
            raise ValueError("psnr is null if, and only if, ssim is 1 and mean_abs_diff is 0")
        return self

    @field_validator("hosts")
    @classmethod
    def _different(cls, hosts: list[str]) -> list[str]:
        if len(set(hosts)) != len(hosts):
            raise ValueError("at least two hosts, each named once")
        return hosts


class NoiseFloors(Data):
    """`noise_floor.yaml`: by case, then by GPU kind."""

    version: Literal[1]
    floors: dict[str, dict[str, NoiseFloor]]

    def of(self, case: str | None, kind: str | None) -> NoiseFloor | None:
        """The floor of a case on a GPU kind, where it was measured."""
        return self.floors.get(case or "", {}).get(kind or "")


class Thresholds(Bounds):
    """What a serving engine's output must reach."""

    psnr: float
    clip: Share


class CaseThresholds(Data):
    """What upstream says of one case; what it leaves out is as the defaults have it."""

    clip: Share | None = None
    ssim: Share | None = None
    psnr: float | None = None
    mean_abs_diff: Annotated[float, Field(ge=0, le=255)] | None = None


class Platform(Data):
    """The thresholds of one platform, and the file of upstream that they were read from."""

    file: str
    ref: str
    cases: dict[str, CaseThresholds]


class ServingThresholds(Data):
    """`serving_thresholds.yaml`: the platforms by GPU kind, each an overlay over BASE."""

    version: Literal[2]
    defaults: dict[Literal["image", "video"], Thresholds]
    platforms: dict[str, Platform]

    def of(self, case: str | None, kind: str | None, *, video: bool) -> tuple[Thresholds, str]:
        """The thresholds of a case on a GPU kind, and what they are called: a platform's, or the defaults.

        A form such as `h100-pcie` has its kind's platform. A kind that has none has BASE, as upstream takes it.
        """
        kind_of_output: Literal["image", "video"] = "video" if video else "image"
        defaults = self.defaults[kind_of_output]
        for name in (kind or "", (kind or "").partition("-")[0], BASE):
            platform = self.platforms.get(name)
            if platform is not None and case in platform.cases:
                own = platform.cases[case].model_dump(exclude_none=True)
                return defaults.model_copy(update=own), f"{name} ({platform.file} at {platform.ref})"
        return defaults, f"the defaults for {kind_of_output}s"


def noise_floors(path: Path = NOISE_FLOOR) -> NoiseFloors:
    """Read noise floors. Raises JudgeError for a file with mistakes."""
    return read(path, NoiseFloors)


@functools.cache
def serving_thresholds() -> ServingThresholds:
    """The thresholds in force."""
    return read(SERVING_THRESHOLDS, ServingThresholds)
