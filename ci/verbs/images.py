"""The module's verb on runner images, and the options that say which images are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import dagger
from dagger import dag
from typing_extensions import Doc

from ..run import recipes, transfer
from ..run.images import Images, mounted
from .choices import Source
from .options import OneOf

SOURCES = [source.value for source in Source]

BaseImage = Annotated[str, Doc("The image that runner images start from, instead of that of containers/images.yaml.")]
ImageList = Annotated[
    tuple[str, ...], Doc("Runner images to pull instead of building them, as SOURCE=REFERENCE@sha256:DIGEST.")
]
HfEndpoint = Annotated[str, Doc("Address of a mirror of the model hub.")]
Weights = Annotated[dagger.CacheVolume | None, Doc("The cache volume for weights; the module's own if not given.")]


def weights_volume(volume: dagger.CacheVolume | None) -> dagger.CacheVolume:
    """The volume that weights are kept in."""
    return volume or dag.cache_volume("diffusion-gt-weights")


def runner_images(base: str, references: Iterable[str], sources: Iterable[str] = ()) -> Images:
    """The images of our sources and of these; what `references` name is pulled. Raises ImageError."""
    return Images(base, recipes.published(references, {*SOURCES, *sources}))


@dataclass(frozen=True, kw_only=True)
class InImage:
    """The option of whatever runs in an image of this project that no source has."""

    base_image: BaseImage = ""

    async def container(self, name: str) -> dagger.Container:
        """The container of that image."""
        return (await Images(self.base_image).image(name)).container


@dataclass(frozen=True, kw_only=True)
class RunnerOnEngine:
    """The container that runs a source's cases, with the weights: open a terminal in it, or run it anywhere."""

    source: Annotated[str, Doc("Whose runner."), OneOf(Source)]
    weights: Weights = None
    base_image: BaseImage = ""
    images: ImageList = ()

    async def run_on_engine(self) -> dagger.Container:
        """The container; it is built when something is asked of it."""
        image = await runner_images(self.base_image, self.images).image(self.source)
        return mounted(image.container, {recipes.WEIGHTS: weights_volume(self.weights)})


@dataclass(frozen=True, kw_only=True)
class ExportOnEngine:
    """Give a source's runner image to machines without an engine, such as the nodes of a Slurm cluster.

    It comes as an OCI archive. With an address it is pushed there, and what comes is a file with its reference by
    digest; who may push is what `docker login` on the caller's machine says.
    """

    source: Annotated[str, Doc("Whose runner."), OneOf(Source)]
    address: Annotated[str, Doc("Where to push it, as REGISTRY/NAME:TAG; nowhere if not given.")] = ""
    base_image: BaseImage = ""

    async def run_on_engine(self) -> dagger.File:
        """The archive, or the reference."""
        container = (await Images(self.base_image).image(self.source)).container
        if not self.address:
            return container.as_tarball()
        return transfer.file(await container.publish(self.address), f"{self.source}.txt")
