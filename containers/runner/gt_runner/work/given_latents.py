"""Starts a case from the first noise that it names, instead of the one that its generator draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..contract import Case, Fetched
from ..errors import SourceError
from ..sources import Loaded
from .noise import InitialLatent, described

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def given_latents(case: Case, fetched: Fetched, loaded: Loaded, initial: InitialLatent) -> Iterator[None]:
    """While open, the case's latents are put where the implementation has its own; `initial` says so at the end.

    A Diffusers pipeline draws, scales and packs in `prepare_latents`: its result becomes `latents.0`. The other
    implementations start from what they draw. The generator draws all the same, so what it draws later is the same too.
    Raises SourceError where the latents do not fit, or the implementation has no such place.
    """
    latents = case.get("latents")
    if latents is None:
        yield
        return
    import torch  # noqa: PLC0415  # a source that is here has imported it
    from safetensors.torch import load_file  # noqa: PLC0415

    from ..sources.hooks import replaced  # noqa: PLC0415

    tensors = _Given(load_file(fetched["latents"]["path"]))
    pipeline: Any = getattr(loaded, "official", None)
    if hasattr(pipeline, "prepare_latents"):
        hook = replaced(pipeline, "prepare_latents", tensors.prepared(pipeline.prepare_latents))
    else:
        hook = replaced(torch, "randn", tensors.drawn(torch.randn))
    with hook:
        yield
    if tensors.result is None:
        raise SourceError("the implementation has no place for the case's latents: leave them out")
    initial.update(described(tensors.result), given=latents.get("file") or latents.get("url"))


class _Given:
    """The tensors of the file, and what was made of them."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors
        self.result: Tensor | None = None

    def prepared(self, official: Callable[..., Any]) -> Callable[..., Any]:
        """`prepare_latents`, of whose result the latents are the first part."""

        def prepare_latents(*args: Any, **kwargs: Any) -> Any:
            result = official(*args, **kwargs)
            if self.result is not None:
                return result
            first, *rest = result if isinstance(result, tuple) else (result,)
            self.result = self._fitted(first, "latents.0", "noise")
            return (self.result, *rest) if isinstance(result, tuple) else self.result

        return prepare_latents

    def drawn(self, official: Callable[..., Any]) -> Callable[..., Any]:
        """`torch.randn`, whose first tensor from a generator is the noise; latents differ from it by a batch axis."""

        def randn(*args: Any, **kwargs: Any) -> Any:
            tensor = official(*args, **kwargs)
            if self.result is not None or kwargs.get("generator") is None:
                return tensor
            self.result = self._fitted(tensor, "noise", "latents.0")
            return self.result

        return randn

    def _fitted(self, original: Tensor, *names: str) -> Tensor:
        """The first of these tensors that is there, in the place of the implementation's own."""
        name = next(name for name in names if name in self._tensors)
        tensor = self._tensors[name]
        if [size for size in tensor.shape if size > 1] != [size for size in original.shape if size > 1]:
            raise SourceError(
                f"the case's latents ({name}) have the shape {list(tensor.shape)}, and the run starts from "
                f"{list(original.shape)}; take those of a trace of this case, of the same size"
            )
        return tensor.reshape(original.shape).to(device=original.device, dtype=original.dtype)
