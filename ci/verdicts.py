"""Functions of the Dagger module that judge an artifact."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, function

from .arguments import Artifact, BaseImage
from .judge import on_engine
from .judge.on_engine import Judged
from .plainly import plainly
from .run.images import Images
from .run.recipes import CHECK, COMPARE

PublishedGt = Annotated[
    dagger.Directory | None, Doc("Published GT of the same GPU kind: a directory, or URL#REF:PATH of a git repository.")
]
ImagesOnly = Annotated[bool, Doc("Take the images as they are: the directory has no manifest.")]


class Verdicts:
    """Part of the module's main object. All of it is cached: pure functions of the arguments and of this module."""

    @function
    async def check(
        self,
        artifact: Artifact,
        published: PublishedGt = None,
        images_only: ImagesOnly = False,
        base_image: BaseImage = "",
    ) -> str:
        """Raise, with a line for each bad file, unless an artifact passes the quality gate."""
        with plainly():
            judged = Judged(artifact, images_only, published)
            return "\n".join(await on_engine.gate(await _judge(base_image), judged))

    @function
    async def metrics(
        self,
        artifact: Artifact,
        published: PublishedGt = None,
        images_only: ImagesOnly = False,
        base_image: BaseImage = "",
    ) -> dagger.File:
        """What `check` measured of each file, as JSON, and what it has against which."""
        with plainly():
            return await on_engine.check(await _judge(base_image), Judged(artifact, images_only, published))

    @function
    async def compare(
        self,
        artifact: Artifact,
        published: PublishedGt = None,
        engine: Annotated[dagger.Directory | None, Doc("An engine's output: files named as the artifact's.")] = None,
        images_only: ImagesOnly = False,
        noise_floor: Annotated[dagger.File | None, Doc("Measured noise floors, instead of ours.")] = None,
        models: Annotated[
            dagger.Directory | None, Doc("Weights of CLIP and LPIPS; what is not there is not measured.")
        ] = None,
        base_image: BaseImage = "",
    ) -> dagger.Directory:
        """Compare an artifact with published GT, and an engine's output with it: report.html, JSON and JUnit XML."""
        with plainly():
            judged = Judged(artifact, images_only, published, engine, noise_floor, models)
            return await on_engine.compare(await _judge(base_image, COMPARE if models else CHECK), judged)


async def _judge(base_image: str, image: str = CHECK) -> dagger.Container:
    return (await Images(base_image, {}).image(image)).container
