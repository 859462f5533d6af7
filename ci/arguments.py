"""Arguments that several functions of the Dagger module have."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import DefaultPath, Doc

from .kinds import Source

SOURCES = [source.value for source in Source]

Artifact = Annotated[dagger.Directory, DefaultPath("gt"), Doc("The artifact: images and manifest.json.")]
BaseImage = Annotated[str, Doc("The image that runner images start from, instead of that of containers/images.yaml.")]
CaseIds = Annotated[list[str], Doc("Only these cases.")]
Cases = Annotated[dagger.Directory, DefaultPath("cases"), Doc("A folder of case files, instead of ours.")]
EngineCheckout = Annotated[
    dagger.Directory | None, Doc("A checkout of the engine that makes the native cases; its repository if not given.")
]
EngineRef = Annotated[str, Doc("Branch, tag or commit of that repository, instead of the one in the case file.")]
HfEndpoint = Annotated[str, Doc("Address of a mirror of the model hub.")]
HfToken = Annotated[
    dagger.Secret | None,
    Doc("Token of the model hub; only the fetch phase has it, or the engine that makes native cases."),
]
ImageList = Annotated[
    list[str], Doc("Runner images to pull instead of building them, as SOURCE=REFERENCE@sha256:DIGEST.")
]
LtxCode = Annotated[dagger.Directory | None, Doc("The LTX-2 repository; at its pin if not given.")]
WanCode = Annotated[dagger.Directory | None, Doc("The Wan2.1 repository; at its pin if not given.")]
Weights = Annotated[
    dagger.CacheVolume | None, Doc("The cache volume that weights are kept in; one of ours if not given.")
]
