"""What a comparison is held against: the noise floor of a case, and the thresholds for an engine's output."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from ..check.rules import Data
from ..errors import JudgeError

NOISE_FLOOR = Path(__file__).with_name("noise_floor.yaml")
ENGINE_THRESHOLDS = Path(__file__).with_name("engine_thresholds.yaml")
LOWER_IS_BETTER = frozenset({"mean_abs_diff", "lpips"})
ATTAINED = 1e-6  # a floor is met by the very pair that it was measured on: results are told with six decimals

Share = Annotated[float, Field(ge=-1, le=1)]


class Bounds(Data):
    """The worst values that count as the same."""

    ssim: Share
    psnr: float
    mean_abs_diff: Annotated[float, Field(ge=0, le=255)]

    def beyond(self, values: Mapping[str, float | None]) -> list[str]:
        """Each value that is worse than its bound, with both. What was not measured is not held against."""
        said = []
        for name, bound in self.bounds().items():
            value = values.get(name)  # None: not measured, or an infinite PSNR
            worse = value is not None and (
                value > bound + ATTAINED if name in LOWER_IS_BETTER else value < bound - ATTAINED
            )
            if worse:
                said.append(f"{name} {value:.4g} {'>' if name in LOWER_IS_BETTER else '<'} {bound:g}")
        return said

    def bounds(self) -> dict[str, float]:
        """By measure."""
        return {name: getattr(self, name) for name in ("clip", "ssim", "psnr", "mean_abs_diff") if hasattr(self, name)}


class NoiseFloor(Bounds):
    """How far a case is from itself, measured."""

    hosts: Annotated[list[str], Field(min_length=2)]
    measured: dt.date
    runs: Annotated[int, Field(ge=2)]
    tool_commit: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")

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
    """What an engine's output must reach."""

    clip: Share


class EngineThresholds(Data):
    """`engine_thresholds.yaml`."""

    version: Literal[1]
    defaults: dict[Literal["image", "video"], Thresholds]
    cases: dict[str, Thresholds]

    def of(self, case: str | None, *, video: bool) -> Thresholds:
        """The thresholds of a case."""
        return self.cases.get(case or "") or self.defaults["video" if video else "image"]


def noise_floors(path: Path = NOISE_FLOOR) -> NoiseFloors:
    """Read noise floors. Raises JudgeError for a file with mistakes."""
    return NoiseFloors.model_validate(_data(path, NoiseFloors))


@functools.cache
def engine_thresholds() -> EngineThresholds:
    """The thresholds in force."""
    return EngineThresholds.model_validate(_data(ENGINE_THRESHOLDS, EngineThresholds))


def _data(path: Path, model: type[Data]) -> Any:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        model.model_validate(data)
    except OSError as error:
        raise JudgeError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise JudgeError("\n".join([f"{path.name} is not what it should be:", *mistakes])) from None
    except yaml.YAMLError as error:
        raise JudgeError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from None
    return data
