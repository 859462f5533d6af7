"""Runs cases through the Diffusers pipeline that a model's repository names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import DiffusionPipeline, ModularPipeline
from PIL import Image

from gt_pictures.reading import read

from ..contract import Case, Fetched, Lora
from ..errors import SourceError
from . import Generated, Step, modular, onto_gpu
from .conditioning import condition, described
from .dtypes import DTYPES
from .frames import to_frames
from .hooks import finite, replaced

BLOCKED = "the pipeline's safety check blocked the output, so there is no image; change the prompt or the input"


def import_pipeline(name: str) -> None:
    """Import a pipeline's class, and with it the classes of its models; nothing where there is none of that name."""
    getattr(diffusers, name, None)


def load(case: Case, fetched: Fetched, device: str) -> LoadedDiffusers:
    """Load the whole pipeline onto `device`. Raises SourceError if it is not the class that the case names."""
    return from_folder(Path(fetched["repositories"][case["model"]["repo"]]["path"]), case, fetched, device)


def from_folder(
    folder: Path, case: Case, fetched: Fetched, device: str, pipeline_class: Any = DiffusionPipeline
) -> LoadedDiffusers:
    """Load the pipeline that lies in a folder: as the class that the folder names, or as another one of its parts."""
    dtype, variant = _dtype(case["runtime"]["dtype"]), case["model"].get("variant")
    if modular.alone(folder):
        pipeline = modular.load(folder, dtype, variant)
    else:
        pipeline = pipeline_class.from_pretrained(folder, dtype=dtype, variant=variant, local_files_only=True)
    _check_components(pipeline, case["runtime"]["dtype"])
    name, name_in_case = type(pipeline).__name__, case.get("pipeline")
    if name_in_case and name != name_in_case:
        raise SourceError(f"the repository's pipeline is {name}, the case expects {name_in_case}")
    for lora in case.get("loras", []):
        _add_lora(pipeline, lora, fetched)
    if case["runtime"].get("offload") == "model" and device == "cuda":
        pipeline.enable_model_cpu_offload()
    else:
        if device == "cuda":
            onto_gpu.place(pipeline.components.values(), torch.device(device))
        pipeline.to(device)
    _set_attention(pipeline, case["runtime"]["attention"])
    return LoadedDiffusers(pipeline, device)


def _dtype(dtype: str | dict[str, str]) -> Any:
    """One dtype, or one by component with a default, as Diffusers takes them."""
    return DTYPES[dtype] if isinstance(dtype, str) else {name: DTYPES[each] for name, each in dtype.items()}


def _check_components(pipeline: Any, dtype: str | dict[str, str]) -> None:
    """Raises SourceError for a dtype of a component that the pipeline does not have: Diffusers only warns."""
    unknown = set() if isinstance(dtype, str) else dtype.keys() - {"default", *pipeline.components}
    if unknown:
        names = ", ".join(sorted(pipeline.components))
        raise SourceError(f"runtime.dtype names {', '.join(sorted(unknown))}; the pipeline's components are {names}")


def _add_lora(pipeline: Any, lora: Lora, fetched: Fetched) -> None:
    folder = fetched["repositories"][lora["repo"]]["path"]
    name = lora["repo"].replace("/", "--").replace(".", "_")  # an adapter name becomes a module name
    options = {"weight_name": lora["file"]} if "file" in lora else {}
    pipeline.load_lora_weights(folder, adapter_name=name, local_files_only=True, **options)
    strengths = dict.fromkeys(pipeline.get_active_adapters(), 1.0) | {name: lora.get("strength", 1.0)}
    pipeline.set_adapters(list(strengths), list(strengths.values()))


def _set_attention(pipeline: Any, backend: str) -> None:
    """Diffusers calls PyTorch's SDPA `native`; it is what every model starts with, so only another one is set."""
    if backend == "sdpa":
        return
    for component in pipeline.components.values():
        if hasattr(component, "set_attention_backend"):
            try:
                component.set_attention_backend(backend)
            except (RuntimeError, ValueError, ImportError) as error:
                raise SourceError(f"attention backend {backend!r} cannot be had here: {error}") from error


class LoadedDiffusers:
    """A pipeline on its device."""

    def __init__(self, pipeline: Any, device: str) -> None:
        self.official = pipeline
        self._device = device
        self.pipeline = type(pipeline).__name__
        self._modular = isinstance(pipeline, ModularPipeline)

    def generate(self, case: Case, inputs: list[Path], step: Step) -> Generated:
        """Call the pipeline with just the arguments that the case names and the pipeline takes."""
        arguments = self._arguments(case, inputs)
        parameters = self._parameters()
        dropped = sorted(name for name in arguments if name not in parameters)
        arguments = {name: value for name, value in arguments.items() if name in parameters}
        with _watched(self.official, step):
            result = modular.call(self.official, arguments) if self._modular else self.official(**arguments)
        return Generated(
            to_frames(_content(result)), {name: _described(value) for name, value in arguments.items()}, dropped
        )

    def _parameters(self) -> Collection[str]:
        """The names of the arguments that the pipeline takes."""
        if self._modular:
            return self.official.blocks.input_names  # type: ignore[no-any-return]
        return inspect.signature(type(self.official).__call__).parameters

    def _arguments(self, case: Case, inputs: list[Path]) -> dict[str, Any]:
        call = dict(case["call"])
        arguments = {**call.pop("extra", {}), **call}
        device = case["runtime"]["generator_device"] if self._device == "cuda" else "cpu"
        arguments["generator"] = torch.Generator(device).manual_seed(arguments.pop("seed"))
        if inputs:
            images, size = condition(case["conditioning"], [read(path, normalise=True).image for path in inputs])
            arguments["image"] = images if len(images) > 1 else images[0]
            arguments = {**size, **arguments}  # a size that the case gives wins
        return arguments


@contextmanager
def _watched(pipeline: Any, step: Step) -> Iterator[None]:
    """While open, steps are reported through the pipeline's own progress bar, and its decoded values are checked.

    A callback would be one more argument of the call. Its processors make NaN black, and a guardrail returns nothing.
    """
    with ExitStack() as hooks:
        bar = lambda iterable=None, total=None: _Bar(step, iterable, total)  # noqa: E731
        steps = modular.LOOP if isinstance(pipeline, ModularPipeline) else pipeline
        hooks.enter_context(replaced(steps, "progress_bar", bar))
        for part in vars(pipeline).values():
            if hasattr(part, "postprocess"):
                hooks.enter_context(replaced(part, "postprocess", _finite(part.postprocess)))
            if hasattr(part, "check_video_safety"):
                hooks.enter_context(replaced(part, "check_video_safety", _unblocked(part.check_video_safety)))
        yield


def _finite(postprocess: Callable[..., Any]) -> Callable[..., Any]:
    def checked(values: Any, *args: Any, **kwargs: Any) -> Any:
        finite(values)
        return postprocess(values, *args, **kwargs)

    return checked


def _unblocked(check_video_safety: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        video = check_video_safety(*args, **kwargs)
        if video is None:
            raise SourceError(BLOCKED)
        return video

    return checked


def _content(result: Any) -> Any:
    """The images or frames of what a pipeline returned. Raises SourceError where it holds none, or blocked ones."""
    flags = [np.ravel(flag) for name, flag in getattr(result, "items", dict)() if "nsfw" in name and flag is not None]
    if any(flag.any() for flag in flags):
        raise SourceError(BLOCKED)
    for name in ("frames", "images"):
        if getattr(result, name, None) is not None:
            return getattr(result, name)
    raise SourceError(f"the pipeline returned {type(result).__name__}, which holds neither images nor frames")


class _Bar:
    """What a pipeline uses of tqdm."""

    def __init__(self, step: Step, iterable: Any, total: int | None) -> None:
        self._step, self._iterable = step, iterable
        self._total = total if total is not None else len(iterable)
        self._done = 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable:
            yield item
            self.update()

    def update(self, n: int = 1) -> None:
        self._done += n
        self._step(self._done, self._total)

    def set_postfix(self, *_: object, **__: object) -> None:
        """Some pipelines show figures beside the bar."""


def _described(value: Any) -> Any:
    """An argument as JSON."""
    if isinstance(value, torch.Generator):
        return {"device": value.device.type, "seed": value.initial_seed()}
    if isinstance(value, Image.Image):
        return described(value)
    if isinstance(value, list):
        return [_described(item) for item in value]
    return value
