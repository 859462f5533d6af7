"""The engine's body of pin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import dagger
from typing_extensions import Doc

from ..run import resolve
from ..run.images import Images
from .images import BaseImage, HfEndpoint
from .options import Secret
from .pin import Pin


@dataclass(frozen=True, kw_only=True)
class PinOnEngine(Pin):
    """By the fetch image and the engine."""

    hf_token: Annotated[Secret | None, Doc("Token of the model hub.")] = None
    hf_endpoint: HfEndpoint = ""
    base_image: BaseImage = ""

    async def run_on_engine(self) -> dagger.Directory:
        """The files that change."""
        token = None if self.hf_token is None else self.hf_token.secret
        return await resolve.pinned(self.cases.directory, Images(self.base_image), token, self.hf_endpoint)
