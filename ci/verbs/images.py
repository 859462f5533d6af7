"""The module's verb on runner images, and the options that say which images are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import dagger
from dagger import dag
from typing_extensions import Doc

from ..run import recipes
from ..run.images import WEIGHTS, Images, mounted
from .choices import Source
from .options import OneOf

SOURCES = [source.value for source in Source]

BaseImage = Annotated[str, Doc("The image that runner images start from, instead of that of containers/images.yaml.")]
ImageList = Annotated[
    tuple[str, ...], Doc("Runner images to pull instead of building them, as SOURCE=REFERENCE@sha256:DIGEST.")
]
Weights = Annotated[dagger.CacheVolume | None, Doc("The cache volume for weights; the module's own if not given.")]


def weights_volume(volume: dagger.CacheVolume | None) -> dagger.CacheVolume:
    """The volume that weights are kept in."""
    return volume or dag.cache_volume("diffusion-gt-weights")


@dataclass(frozen=True, kw_only=True)
class RunnerOnEngine:
    """The container that runs a source's cases, with the weights: open a terminal in it, or run it anywhere."""

    source: Annotated[str, Doc("Whose runner."), OneOf(Source)]
    weights: Weights = None
    base_image: BaseImage = ""
    images: ImageList = ()

    async def run_on_engine(self) -> dagger.Container:
        """The container; it is built when something is asked of it."""
        built = Images(self.base_image, recipes.published(self.images, SOURCES))
        return mounted((await built.image(self.source)).container, {WEIGHTS: weights_volume(self.weights)})
