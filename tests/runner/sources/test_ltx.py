"""The LTX-2 source, driven on the real implementation with tiny random weights.

Without more it is the release on PyPI, which is older than the commit that the cases pin; GT_LTX_CODE names a checkout
of that commit to use instead (its media code needs the package openimageio).
"""

from __future__ import annotations

import functools
import gc
import hashlib
import importlib
import inspect
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ci.catalogue import files
from gt_runner.errors import SourceError
from gt_runner.sources import ltx, ltx_values, ltx_weights, onto_gpu, refusals
from gt_runner.work.given_latents import given_latents
from gt_runner.work.noise import first_noise
from gt_runner.work.trace.tracing import traced
from tests.support import tiny_ltx
from tests.support.factory import OF_REPOSITORIES, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gt_runner.contract import Case, Fetched
    from gt_runner.tasks import Tracing

# ruff: noqa: PLC0415  # the implementation is importable once the fixture `tiny` has chosen which copy of it

CODE = os.environ.get("GT_LTX_CODE")
PATHS = ["packages/ltx-core/src", "packages/ltx-pipelines/src"]
ONE, TWO, HQ = ltx.PIPELINES

VIDEO = {
    "cfg_scale": 3.0,
    "stg_scale": 1.0,
    "rescale_scale": 0.7,
    "modality_scale": 3.0,
    "skip_step": 0,
    "stg_blocks": [1],
}
AUDIO = VIDEO | {"cfg_scale": 7.0, "rescale_scale": 1.0}
TILING = {"spatial_tile_px": 512, "spatial_overlap_px": 64, "temporal_tile_frames": 64, "temporal_overlap_frames": 24}
SIGMAS = [0.909375, 0.725, 0.421875, 0.0]


CALL = {
    "prompt": "a raccoon",
    "negative_prompt": "blurry",
    "width": 128,
    "height": 64,
    "num_frames": 9,
    "fps": 24.0,
    "num_inference_steps": 2,
    "seed": 10,
    "video_guider": VIDEO,
    "audio_guider": AUDIO,
    "tiling": TILING,
    "images": [{"input": 0, "frame_idx": 0, "strength": 0.5, "crf": 33}],
    "max_batch_size": 1,
    "enhance_prompt": False,
}
RUNTIME = OF_REPOSITORIES | {
    "sdp_backends": {"cudnn": True, "flash": True, "mem_efficient": True, "math": False},
    "decode_audio": CODE is None,  # the release on PyPI cannot leave it out
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiny_ltx.TinyLtx]:
    with pytest.MonkeyPatch.context() as patch:
        for path in PATHS if CODE else []:
            patch.syspath_prepend(f"{CODE}/{path}")
        patch.setattr(torch.cuda, "synchronize", lambda *_: None)  # the implementation calls it on a CPU as well
        tiny_ltx.shrink_gemma(patch)
        built, threads = tiny_ltx.build(tmp_path_factory.mktemp("ltx")), torch.get_num_threads()
        torch.set_num_threads(1)
        gc.freeze()  # it collects garbage after each part, which over all that is imported takes longer than the part
        yield built
        gc.unfreeze()
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "picture.png"
    noise = np.random.default_rng(3).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def make(pipeline: str, **changes: dict[str, Any]) -> Case:
    """Build a case; each change is merged into the part that it names, and None takes a key away."""
    checkpoint: dict[str, Any] = {"file": tiny_ltx.CHECKPOINT}
    call = CALL | {"stage_2_sigmas": None if pipeline == ONE else SIGMAS}
    if pipeline != ONE:
        checkpoint |= {"distilled_lora": tiny_ltx.DISTILLED_LORA, "spatial_upsampler": tiny_ltx.UPSAMPLER}
        checkpoint["distilled_lora_strengths"] = [0.25, 0.5] if pipeline == HQ else [1.0]
    parts: dict[str, dict[str, Any]] = {"checkpoint": checkpoint, "call": call, "runtime": RUNTIME}
    changed = {name: merged(part, changes.get(name, {})) for name, part in parts.items()}
    model = {"model": {"repo": "tiny/ltx"}, "text_encoder": {"repo": "tiny/gemma"}}
    return cast("Case", {"id": "tiny", "source": "ltx", "pipeline": pipeline, **model, **changed})


def found(tiny: tiny_ltx.TinyLtx) -> Fetched:
    places = {"tiny/ltx": tiny.model, "tiny/gemma": tiny.gemma}
    repositories = {
        name: {"repo": name, "path": str(path), "commit": None, "digest": "", "bytes": 0}
        for name, path in places.items()
    }
    return cast("Fetched", {"repositories": repositories, "code": None, "inputs": []})


def official(pipeline: str) -> Any:
    return getattr(importlib.import_module(ltx.PIPELINES[pipeline]), pipeline)


def expected_arguments(picture: Path) -> dict[str, Any]:
    from ltx_core.components.guiders import MultiModalGuiderParams
    from ltx_core.model.video_vae.tiling import SpatialTilingConfig, TemporalTilingConfig, TilingConfig
    from ltx_pipelines.utils.args import ImageConditioningInput

    return {
        "prompt": "a raccoon",
        "negative_prompt": "blurry",
        "width": 128,
        "height": 64,
        "num_frames": 9,
        "frame_rate": 24.0,
        "num_inference_steps": 2,
        "seed": 10,
        "video_guider_params": MultiModalGuiderParams(3.0, 1.0, [1], 0.7, 3.0, 0),
        "audio_guider_params": MultiModalGuiderParams(7.0, 1.0, [1], 1.0, 3.0, 0),
        "tiling_config": TilingConfig(SpatialTilingConfig(512, 64), TemporalTilingConfig(64, 24)),
        "images": [ImageConditioningInput(str(picture), 0, 0.5, 33)],
        "max_batch_size": 1,
        "enhance_prompt": False,
        "stage_2_sigmas": torch.tensor(SIGMAS),
    }


def sdp_kernels() -> dict[str, bool]:
    return {name: getattr(torch.backends.cuda, f"{name}_sdp_enabled")() for name in sorted(refusals.SDP_BACKENDS)}


class Calls:
    """Records how the constructor and the call of a pipeline are called; the call answers with one black frame."""

    def __init__(self, pipeline: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.options: dict[str, Any] = {}
        self.arguments: dict[str, Any] = {}
        self.sdp: dict[str, bool] = {}
        cls = official(pipeline)
        construct, run = cls.__init__, cls.__call__

        @functools.wraps(construct)
        def constructed(instance: Any, **options: Any) -> None:
            self.options = options
            construct(instance, **options)

        @functools.wraps(run)
        def ran(_instance: Any, **arguments: Any) -> tuple[Iterator[torch.Tensor], None]:
            self.arguments = arguments
            self.sdp = sdp_kernels()
            return iter([torch.zeros(1, 64, 128, 3, dtype=torch.uint8)]), None

        monkeypatch.setattr(cls, "__init__", constructed)
        monkeypatch.setattr(cls, "__call__", ran)
        self.takes = set(inspect.signature(run).parameters)


@pytest.mark.parametrize("pipeline", ltx.PIPELINES)
def test_every_argument_of_the_case_reaches_the_official_call(
    pipeline: str, tiny: tiny_ltx.TinyLtx, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(pipeline, monkeypatch)
    case = make(pipeline)
    made = ltx.load(case, found(tiny), "cpu").generate(case, [picture], lambda *_: None)
    expected = {name: value for name, value in expected_arguments(picture).items() if name in calls.takes}
    if "stage_2_sigmas" in expected:
        assert calls.arguments.pop("stage_2_sigmas").equal(expected.pop("stage_2_sigmas"))
    assert calls.arguments == expected
    passed = {
        ltx_values.RENAMED.get(name, name): value for name, value in case["call"].items() if name not in made.dropped
    }
    assert made.passed == passed
    assert not CODE or made.dropped == []


@pytest.mark.parametrize("pipeline", ltx.PIPELINES)
def test_every_file_and_strength_of_the_case_reaches_the_official_constructor(
    pipeline: str, tiny: tiny_ltx.TinyLtx, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(pipeline, monkeypatch)
    ltx.load(make(pipeline, runtime={"quantization": "fp8-cast"}), found(tiny), "cpu")
    expected: dict[str, Any] = {
        "checkpoint_path": str(tiny.model / tiny_ltx.CHECKPOINT),
        "gemma_root": str(tiny.gemma),
        "loras": (),
        "device": torch.device("cpu"),
    }
    if pipeline != ONE:
        expected["spatial_upsampler_path"] = str(tiny.model / tiny_ltx.UPSAMPLER)
        [lora] = calls.options.pop("distilled_lora")
        assert lora.path == str(tiny.model / tiny_ltx.DISTILLED_LORA)
        assert lora.sd_ops.apply_to_key("diffusion_model.a.lora_A.weight") == "a.lora_A.weight"
    if pipeline == TWO:
        assert lora.strength == 1.0
    if pipeline == HQ:
        expected |= {"distilled_lora_strength_stage_1": 0.25, "distilled_lora_strength_stage_2": 0.5}
    assert len(calls.options.pop("quantization").sd_ops.mapping) > 0
    assert calls.options == expected


@pytest.mark.parametrize(("pipeline", "quantization"), [(ONE, "none"), (TWO, "fp8-cast"), (HQ, "none")])
def test_frames_and_weights_are_those_that_the_official_pipeline_makes(
    pipeline: str, quantization: str, tiny: tiny_ltx.TinyLtx, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands in for the GPU onto which weights are helped, in batches and pieces that no tensor fills."""
    size = {"width": 128, "height": 128}
    case = make(pipeline, call=size, runtime={"quantization": quantization})
    steps: list[tuple[int, int]] = []
    helped = Helped(monkeypatch)
    made = ltx.load(case, found(tiny), "cpu").generate(case, [picture], lambda *step: steps.append(step))
    weights, batches = helped.taken()
    assert made.frames.shape == (9, 128, 128, 3)
    assert made.frames.dtype == np.uint8
    total = 2 if pipeline == ONE else 2 + len(SIGMAS) - 1
    assert steps == [(done, total) for done in range(1, total + 1)]
    assert np.array_equal(made.frames, _straight(pipeline, quantization, tiny, expected_arguments(picture) | size))
    assert (weights, []) == helped.taken()
    assert len(batches) > len(weights) > 3
    assert max(batches) < ltx_weights.BATCH


class Helped:
    """Has weights helped onto the CPU, and keeps the digests of every model that is built, and the batches' bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder as Builder

        self._weights: list[dict[str, tuple[str, tuple[int, ...], str]]] = []
        self._batches: list[int] = []
        build, replicas = Builder.build, onto_gpu.replicas

        def built(builder: Any, *args: Any, **options: Any) -> Any:
            model = build(builder, *args, **options)
            tensors = [*model.named_parameters(), *model.named_buffers()]
            self._weights.append({name: (str(each.dtype), each.stride(), _sha256(each)) for name, each in tensors})
            return model

        def copied(tensors: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
            self._batches.append(sum(tensor.nbytes for tensor in tensors))
            return replicas(tensors, device)

        for owner, name, value in [
            (Builder, "build", built),
            (onto_gpu, "replicas", copied),
            (onto_gpu, "CHUNK", 1000),
            (ltx_weights, "BATCH", 1_000_001),
            (ltx_weights, "DEVICE", "cpu"),
        ]:
            monkeypatch.setattr(owner, name, value)

    def taken(self) -> tuple[list[dict[str, tuple[str, tuple[int, ...], str]]], list[int]]:
        """What has been kept since the last time."""
        taken = self._weights[:], self._batches[:]
        self._weights.clear()
        self._batches.clear()
        return taken


def _sha256(tensor: torch.Tensor) -> str:
    values = tensor.detach().contiguous().flatten().view(torch.uint8)
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize(("pipeline", "tiled"), [(ONE, False), (TWO, True), (HQ, True)])
def test_a_traced_run_makes_the_same_frames_and_gives_the_stages(
    pipeline: str, tiled: bool, tiny: tiny_ltx.TinyLtx, picture: Path, tmp_path: Path
) -> None:
    case = make(pipeline, call={"width": 128, "height": 128})
    case["call"]["tiling"] = TILING if tiled else None
    loaded = ltx.load(case, found(tiny), "cpu")
    asked: Tracing = {"folder": str(tmp_path), "stages": [], "every": 1, "version": "1"}
    with traced(asked, case, loaded) as drew, first_noise(drew) as latent:
        made = loaded.generate(case, [picture], lambda *_: None)
    assert np.array_equal(made.frames, loaded.generate(case, [picture], lambda *_: None).frames)
    [entry] = json.loads((tmp_path / "trace.json").read_text())["cases"].values()
    first, second = ["noise", *loop_of(pipeline, 2)], ["condition.0", *loop_of(pipeline, len(SIGMAS) - 1)]
    expected = ["prompt_embeds", "negative_prompt_embeds", "condition.0", *first]
    expected += [] if pipeline == ONE else [f"stage_2.{stage}" for stage in second]
    assert list(entry["stages"]) == [*expected, "decoded"]
    assert sorted(entry["absent"]) == (["latents.final", "sigmas", "timesteps"] if pipeline == HQ else ["timesteps"])
    assert entry["stages"]["noise"]["sha256"] == latent["sha256"]
    assert entry["stages"]["decoded"]["shape"] == [1, 3, 9, 128, 128]


@pytest.mark.usefixtures("tiny")
def test_every_official_case_gives_its_pipeline_all_that_it_takes() -> None:
    cases = [case.data() for case in files.load().cases.values() if case.source == "ltx"]
    assert cases
    for case in cases:
        taken = inspect.signature(official(case["pipeline"]).__call__).parameters.keys() - {"self"} - ltx.DERIVED
        given = {ltx_values.RENAMED.get(name, name) for name in {"images", *case["call"]}}
        assert taken <= given, case["id"]


def test_a_case_starts_from_the_noise_that_it_names(tiny: tiny_ltx.TinyLtx, picture: Path, tmp_path: Path) -> None:
    case = make(ONE, call={"width": 128, "height": 128})
    loaded = ltx.load(case, found(tiny), "cpu")
    own: Tracing = {"folder": str(tmp_path / "own"), "stages": ["noise", "latents.0"], "every": 1, "version": "1"}
    with traced(own, case, loaded) as drew, first_noise(drew) as drawn:
        frames = loaded.generate(case, [picture], lambda *_: None).frames
    file = tmp_path / "own" / "tiny.safetensors"
    again = cast("Case", {**case, "call": case["call"] | {"seed": 11}})
    again["latents"] = {"file": "tiny.safetensors", "sha256": "0" * 64}
    fetched = cast("Fetched", {**found(tiny), "latents": {"path": str(file)}})
    asked: Tracing = {**own, "folder": str(tmp_path / "again")}
    with (
        traced(asked, again, loaded) as drew,
        first_noise(drew) as latent,
        given_latents(again, fetched, loaded, latent),
    ):
        made = loaded.generate(again, [picture], lambda *_: None)
    assert latent == {**drawn, "given": "tiny.safetensors"}
    one, other = (load_file(tmp_path / folder / "tiny.safetensors")["latents.0"] for folder in ("own", "again"))
    assert torch.equal(one, other)
    assert not np.array_equal(made.frames, frames)  # the noise of the sound, which the picture sees, is another one


def loop_of(pipeline: str, steps: int) -> list[str]:
    """The stages of a loop; the second-order sampler steps twice for each step, and ends in its own way."""
    half = pipeline == HQ
    names = [f"{stage}.{step}" for step in range(steps * (1 + half)) for stage in ("latents", "model_output")]
    return names if half else ["sigmas", *names, "latents.final"]


@pytest.mark.parametrize("pipeline", [ONE, HQ])
def test_the_first_noise_is_what_the_cases_seed_gives(pipeline: str, tiny: tiny_ltx.TinyLtx, picture: Path) -> None:
    case = make(pipeline, call={"width": 128, "height": 128})
    loaded = ltx.load(case, found(tiny), "cpu")
    with first_noise() as latent:
        loaded.generate(case, [picture], lambda *_: None)
    generator = torch.Generator("cpu").manual_seed(case["call"]["seed"])
    noise = torch.randn(latent["shape"], generator=generator, dtype=getattr(torch, latent["dtype"]))
    assert latent["sha256"] == hashlib.sha256(noise.view(torch.uint8).numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("tiled", [True, False])
def test_a_decoder_that_gives_nan_is_no_black_video(
    tiled: bool, tiny: tiny_ltx.TinyLtx, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ltx_core.model.video_vae import VideoDecoder

    decode = VideoDecoder.forward
    monkeypatch.setattr(VideoDecoder, "forward", lambda *args, **kwargs: decode(*args, **kwargs) * float("nan"))
    case = make(ONE, call={"width": 128, "height": 128} | ({} if tiled else {"tiling": None}))
    case["call"].setdefault("tiling", None)
    with pytest.raises(SourceError, match="holds NaN"):
        ltx.load(case, found(tiny), "cpu").generate(case, [picture], lambda *_: None)


def _straight(pipeline: str, quantization: str, tiny: tiny_ltx.TinyLtx, arguments: dict[str, Any]) -> Any:
    """Run the pipeline as a user of the repository would."""
    from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP, LoraPathStrengthAndSDOps
    from ltx_core.quantization import QuantizationPolicy

    options: dict[str, Any] = {
        "checkpoint_path": str(tiny.model / tiny_ltx.CHECKPOINT),
        "gemma_root": str(tiny.gemma),
        "loras": (),
        "device": torch.device("cpu"),
        "quantization": QuantizationPolicy.fp8_cast() if quantization == "fp8-cast" else None,
    }
    if pipeline != ONE:
        path = str(tiny.model / tiny_ltx.DISTILLED_LORA)
        options["distilled_lora"] = [LoraPathStrengthAndSDOps(path, 1.0, LTXV_LORA_COMFY_RENAMING_MAP)]
        options["spatial_upsampler_path"] = str(tiny.model / tiny_ltx.UPSAMPLER)
    if pipeline == HQ:
        options |= {"distilled_lora_strength_stage_1": 0.25, "distilled_lora_strength_stage_2": 0.5}
    cls = official(pipeline)
    taken = inspect.signature(cls.__call__).parameters
    with torch.inference_mode():
        video, _ = cls(**options)(**{name: value for name, value in arguments.items() if name in taken})
        return torch.cat(list(video)).numpy()


def test_sdpa_chooses_from_the_kernels_of_the_case_during_the_call_only(
    tiny: tiny_ltx.TinyLtx, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, before = Calls(ONE, monkeypatch), sdp_kernels()
    chosen = {"cudnn": False, "flash": True, "mem_efficient": False, "math": False}
    case = make(ONE, runtime={"sdp_backends": chosen}, call={"images": []})
    ltx.load(case, found(tiny), "cpu").generate(case, [], lambda *_: None)
    assert calls.sdp == chosen
    assert sdp_kernels() == before != chosen


@pytest.mark.skipif(CODE is None, reason="the release on PyPI has no part that decodes audio and could be left out")
def test_audio_is_decoded_only_if_the_case_asks_for_it(tiny: tiny_ltx.TinyLtx, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []
    blocks = importlib.import_module("ltx_pipelines.utils.blocks")
    monkeypatch.setattr(blocks.AudioDecoder, "__call__", lambda _self, latent: decoded.append(latent))
    for wanted in (True, False):
        case = make(ONE, runtime={"decode_audio": wanted}, call={"images": [], "width": 64})
        ltx.load(case, found(tiny), "cpu").generate(case, [], lambda *_: None)
    assert len(decoded) == 1


@pytest.mark.skipif(CODE is not None, reason="at the pin audio can be left out")
def test_a_release_that_cannot_leave_out_audio_is_refused(tiny: tiny_ltx.TinyLtx) -> None:
    with pytest.raises(SourceError, match="decode_audio must be true"):
        ltx.load(make(ONE, runtime={"decode_audio": False}), found(tiny), "cpu")


@pytest.mark.skipif(CODE is not None, reason="at the pin the pipeline takes the sigmas")
def test_sigmas_that_the_release_cannot_take_must_be_its_own(tiny: tiny_ltx.TinyLtx) -> None:
    case = make(TWO, call={"stage_2_sigmas": [0.9, 0.5, 0.0]})
    with pytest.raises(SourceError, match="cannot be given stage_2_sigmas"):
        ltx.load(case, found(tiny), "cpu").generate(case, [], lambda *_: None)


@pytest.mark.parametrize(
    ("pipeline", "changes", "message"),
    [
        ("DistilledPipeline", {}, "no LTX-2 pipeline is named 'DistilledPipeline'"),
        (ONE, {"runtime": {"dtype": "fp32"}}, "computes in bf16"),
        (ONE, {"runtime": {"attention": "flash_attn"}}, "LTX-2 takes sdpa"),
        (ONE, {"runtime": {"quantization": "int8"}}, "quantization 'int8'"),
        (ONE, {"runtime": {"offload": "model"}}, "offload must be none"),
        (ONE, {"runtime": {"sdp_backends": {"flash": True}}}, "must name just cudnn, flash, math, mem_efficient"),
        (ONE, {"checkpoint": {"file": "absent.safetensors"}}, r"absent\.safetensors was not fetched"),
        (ONE, {"checkpoint": {"spatial_upsampler": tiny_ltx.UPSAMPLER}}, "unexpected keyword.*spatial_upsampler_path"),
        (TWO, {"checkpoint": {"spatial_upsampler": None}}, "missing.*spatial_upsampler_path"),
        (TWO, {"checkpoint": {"distilled_lora_strengths": [0.25, 0.5]}}, "unexpected keyword.*strength_stage_1"),
        (HQ, {"checkpoint": {"distilled_lora_strengths": [0.5]}}, "missing.*strength_stage_1"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_loaded(
    pipeline: str, changes: dict[str, dict[str, Any]], message: str, tiny: tiny_ltx.TinyLtx
) -> None:
    with pytest.raises(SourceError, match=message):
        ltx.load(make(pipeline, **changes), found(tiny), "cpu")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"num_inference_steps": None}, "must give TI2VidOneStagePipeline num_inference_steps"),
        ({"audio_guider": None}, "must give TI2VidOneStagePipeline audio_guider_params"),
        ({"enhance_prompt": None}, "must give TI2VidOneStagePipeline enhance_prompt"),
        ({"video_guider": {"cfg_scale": 3.0}}, "differs in"),
    ],
)
def test_an_argument_that_the_case_leaves_out_is_an_error_not_a_default(
    call: dict[str, Any], message: str, tiny: tiny_ltx.TinyLtx
) -> None:
    case = make(ONE, call={"images": [], **call})
    with pytest.raises(SourceError, match=message):
        ltx.load(case, found(tiny), "cpu").generate(case, [], lambda *_: None)


def test_sdpa_is_refused_where_the_implementation_would_take_xformers(
    tiny: tiny_ltx.TinyLtx, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = importlib.import_module("ltx_core.model.transformer.attention")
    monkeypatch.setattr(attention, "memory_efficient_attention", lambda *_: None)
    with pytest.raises(SourceError, match="takes xformers, which is installed here"):
        ltx.load(make(ONE), found(tiny), "cpu")


def test_a_text_encoder_that_could_be_read_from_two_folders_is_refused(tiny: tiny_ltx.TinyLtx, tmp_path: Path) -> None:
    for folder in ("text_encoder", "transformer"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").touch()
    ambiguous = tiny_ltx.TinyLtx(model=tiny.model, gemma=tmp_path)
    with pytest.raises(
        SourceError, match="must lie in one folder of its repository; it lies text_encoder, transformer"
    ):
        ltx.load(make(ONE), found(ambiguous), "cpu")
