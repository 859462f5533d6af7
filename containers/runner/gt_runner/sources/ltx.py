"""Runs cases through the official LTX-2 repository: its text/image-to-video pipelines, by their own Python API."""

from __future__ import annotations

import inspect
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gt_pictures.reading import plain_files

from ..errors import SourceError
from . import Generated, ltx_values, ltx_weights, refusals
from .checkout import import_official
from .hooks import finite, replaced, reported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..contract import Case, Fetched
    from . import Step

PIPELINES = {
    "TI2VidOneStagePipeline": "ltx_pipelines.ti2vid_one_stage",
    "TI2VidTwoStagesPipeline": "ltx_pipelines.ti2vid_two_stages",
    "TI2VidTwoStagesHQPipeline": "ltx_pipelines.ti2vid_two_stages_hq",
}

# Schedules that a pipeline works out from the number of steps where none is given: no default of its own.
DERIVED = {"sigmas", "stage_1_sigmas"}


def load(case: Case, fetched: Fetched, device: str) -> LoadedLtx:
    """Make the pipeline. It reads no weights yet: a call loads each part when it needs it, and frees it after."""
    official = partial(import_official, case=case, fetched=fetched)
    runtime: dict[str, Any] = {**case["runtime"]}
    pipeline_class = _pipeline_class(case.get("pipeline", ""), official)
    refusals.check(case, device)
    _check_attention(runtime["attention"], official)
    options = ltx_values.options(case, fetched, official)
    options["quantization"] = ltx_values.quantization(runtime.get("quantization"), official)
    options["device"] = torch.device("cuda", 0) if device == "cuda" else torch.device(device)
    try:
        inspect.signature(pipeline_class).bind(**options)
    except TypeError as error:
        raise SourceError(f"the case's checkpoint does not fit {pipeline_class.__name__}: {error}") from error
    pipeline = pipeline_class(**options)
    if not runtime["decode_audio"]:
        _leave_audio(pipeline)
    return LoadedLtx(pipeline, runtime["sdp_backends"], official)


def _pipeline_class(name: str, official: ltx_values.Official) -> Any:
    if name not in PIPELINES:
        raise SourceError(f"no LTX-2 pipeline is named {name!r}; there are {', '.join(PIPELINES)}")
    return getattr(official(PIPELINES[name]), name)


def _check_attention(name: str, official: ltx_values.Official) -> None:
    """Refuse an attention that would not be the one used: the implementation takes xformers where it is installed."""
    xformers = official("ltx_core.model.transformer.attention").memory_efficient_attention is not None
    if name != ("xformers" if xformers else "sdpa"):
        words = "takes xformers, which is installed here" if xformers else "takes sdpa where xformers is not installed"
        raise SourceError(f"attention {name!r} cannot be had: LTX-2 {words}")


def _leave_audio(pipeline: Any) -> None:
    """Put nothing in the place of the audio decoder: the sound is of no use here, the frames do not depend on it."""
    if not hasattr(pipeline, "audio_decoder"):
        raise SourceError("this release of LTX-2 cannot leave out audio: decode_audio must be true")
    pipeline.audio_decoder = lambda _latent: None


class LoadedLtx:
    """A pipeline of the LTX-2 repository."""

    def __init__(self, pipeline: Any, sdp_backends: dict[str, bool], official: ltx_values.Official) -> None:
        self._pipeline, self._sdp_backends, self._official = pipeline, sdp_backends, official
        self._parameters = set(inspect.signature(type(pipeline).__call__).parameters) - {"self"}
        self.pipeline = type(pipeline).__name__

    def generate(self, case: Case, inputs: list[Path], step: Step) -> Generated:
        """Call the pipeline with what the case names; an argument that it leaves out is an error, not a default."""
        call = {"images": [], **case["call"]}
        dropped = self._dropped(call)
        passed = {name: value for name, value in call.items() if name not in dropped}
        steps = int(call["num_inference_steps"]) + max(0, len(call.get("stage_2_sigmas") or ()) - 1)
        progress = reported(self._official("ltx_pipelines.utils.samplers"), step, steps)
        decoder = self._official("ltx_core.model.video_vae").VideoDecoder
        with (
            torch.inference_mode(),
            _choosing_from(self._sdp_backends),
            progress,
            ltx_weights.helped(self._official),
            _finite(decoder),
            tempfile.TemporaryDirectory() as folder,
        ):
            plain = plain_files(inputs, Path(folder))  # the official code opens them by itself
            arguments = ltx_values.arguments(passed, plain, self._official)
            video, _audio = self._pipeline(**arguments)
            frames = torch.cat([chunk.cpu() for chunk in video])  # decoded while it is read
        if frames.dtype != torch.uint8:
            raise SourceError(f"{self.pipeline} gave frames of {frames.dtype}, not of 8 bits")
        return Generated(frames.numpy(), {ltx_values.RENAMED.get(name, name): passed[name] for name in passed}, dropped)

    def _dropped(self, call: dict[str, Any]) -> list[str]:
        """Name what the pipeline does not take. Raises SourceError if that changes what the case asks for."""
        official = {ltx_values.RENAMED.get(name, name): name for name in call}
        missing = self._parameters - set(official) - DERIVED
        if missing:
            raise SourceError(f"the case's call must give {self.pipeline} {', '.join(sorted(missing))}")
        dropped = sorted(name for key, name in official.items() if key not in self._parameters)
        sigmas = call.get("stage_2_sigmas")
        constant = self._official("ltx_pipelines.utils.constants").STAGE_2_DISTILLED_SIGMA_VALUES
        if "stage_2_sigmas" in dropped and sigmas not in (None, constant):
            raise SourceError(f"{self.pipeline} cannot be given stage_2_sigmas {sigmas}: it has {constant}")
        return dropped


@contextmanager
def _finite(decoder: Any) -> Iterator[None]:
    """While open, what a decoder of this class gives is checked: the implementation makes 8 bits of it itself."""
    official = decoder.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        frames = official(*args, **kwargs)
        finite(frames)
        return frames

    with replaced(decoder, "forward", forward):
        yield


@contextmanager
def _choosing_from(kernels: dict[str, bool]) -> Iterator[None]:
    """While open, PyTorch's SDPA chooses from the allowed kernels only."""
    switches = torch.backends.cuda
    settings = {name: getattr(switches, f"{name}_sdp_enabled")() for name in kernels}
    _switch(kernels)
    try:
        yield
    finally:
        _switch(settings)


def _switch(kernels: dict[str, bool]) -> None:
    for name, on in kernels.items():
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(on)
