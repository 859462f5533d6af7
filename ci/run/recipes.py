"""What a runner image is made of, and the digest that names it where no registry does."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import ROOT
from ..catalogue.native import ServingEngine
from ..errors import ImageError, printable
from ..words import first_mistake

CONTAINERS = ROOT / "containers"
TORCH = "torch"  # the project whose environment is the layer that all sources share
FETCH = "fetch"  # the project of the fetch phase, which needs no torch
CHECK = "check"  # the project of the judge, which needs none either
COMPARE = "compare"  # the same with torch, for learned measures
TAKING = ("numpy", "pillow")  # what takes an engine's files needs, in whatever version the engine has them
GENERATING = ["gt_runner", "gt_pictures"]  # this project's packages that make a result
TRACER = "gt_trace.py"  # what writes traces; it decides nothing of a result
WEIGHTS = "/gt/weights"  # where the images have the cache of the model hub
PUBLISHED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


class Base(BaseModel):
    """The image that every runner image starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: str
    digest: str | None = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Data(BaseModel):
    """`containers/images.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Base
    uv: str = Field(pattern=r"^\d+\.\d+\.\d+$")

    @property
    def address(self) -> str:
        """The base image, by digest where the file has one."""
        return f"{self.base.reference}@{self.base.digest}" if self.base.digest else self.base.reference


def data(folder: Path = CONTAINERS) -> Data:
    """Read `images.yaml`. Raises ImageError."""
    path = folder / "images.yaml"
    try:
        return Data.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        mistake = first_mistake(error) if isinstance(error, ValidationError) else str(error)
        raise ImageError(f"{path.name} is not what it should be: {printable(mistake)}") from None


def tiers(name: str) -> list[str]:
    """The projects whose environments are installed one over the other, each a layer."""
    return [name] if name in (FETCH, CHECK) else [TORCH, name]


def packages(name: str) -> list[str]:
    """This project's packages that an image holds."""
    return [*GENERATING, "gt_judge"] if name in (CHECK, COMPARE) else GENERATING


@dataclass(frozen=True)
class Recipe:
    """How an image is built; images of one recipe make the same results, as far as locked packages go."""

    base: str  # by the digest that it was resolved to
    files: dict[str, str]  # sha256 by path: lock files, projects, the code that decides a result
    steps: str = ""  # that stand in no file of this project

    @property
    def digest(self) -> str:
        """Names the recipe."""
        text = json.dumps([self.base, self.files, *([self.steps] if self.steps else [])], sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def recipe(name: str, base: str, folder: Path = CONTAINERS) -> Recipe:
    """The recipe of the image of a source; `base` is the base image by digest."""
    paths = [folder / "images.yaml", *_code(folder), folder / "runner" / "pyproject.toml"]
    paths += [folder / tier / file for tier in tiers(name) for file in ("pyproject.toml", "uv.lock")]
    return Recipe(base, _digests(paths, folder))


def _code(folder: Path) -> list[Path]:
    """Our code that decides a result, by the same list as the runner's own digest."""
    root = folder / "runner"
    patterns = (root / "gt_runner" / "result_code.txt").read_text(encoding="utf-8").split()
    return [path for pattern in patterns for path in root.glob(pattern)]


def _digests(paths: Iterable[Path], folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def engine_recipe(base: str, engine: ServingEngine, checkout: str, *, pulled: bool = False) -> Recipe:
    """The recipe of an engine's image: its checkout by identity, and how it is installed, unless it was pulled."""
    steps = [None if pulled else engine.install, engine.environment, list(TAKING), checkout]
    paths = [CONTAINERS / "images.yaml", *_code(CONTAINERS)]
    return Recipe(base, _digests(paths, CONTAINERS), json.dumps(steps, sort_keys=True))


def published(references: Iterable[str], sources: Iterable[str]) -> dict[str, str]:
    """The references of images given as SOURCE=REFERENCE@sha256:DIGEST, by source. Raises ImageError for others."""
    names = sorted(sources)
    images: dict[str, str] = {}
    for text in references:
        source, _, reference = text.partition("=")
        if source not in names or not PUBLISHED.fullmatch(reference):
            raise ImageError(
                f"{text!r} names no image; write SOURCE=REFERENCE@sha256:DIGEST, with {', '.join(names)} as SOURCE"
            )
        images[source] = reference
    return images
