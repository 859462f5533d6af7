"""The Wan2.1 source, driven on a stand-in for the repository's package, which needs a GPU from its first import on.

`test_wan_stand_in.py` compares the stand-in with the repository at its pin where a checkout is at hand.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
import types
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from gt_runner.errors import SourceError
from gt_runner.sources import wan21
from gt_runner.sources.checkout import import_official
from gt_runner.sources.varlen_sdpa import in_place_of, varlen_sdpa
from gt_runner.work.given_latents import given_latents
from gt_runner.work.noise import first_noise
from gt_runner.work.trace.tracing import traced
from tests.support.wan import STAND_IN, found, fresh_imports, names_of_configs, parsed
from tests.support.wan21 import CALL, CHECKOUT, PIN, make, with_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gt_runner.contract import Case, Fetched
    from gt_runner.tasks import Tracing


@pytest.fixture(autouse=True)
def _fresh_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh_imports(monkeypatch):
        yield


def official(name: str) -> Any:
    return import_official(name, make(), found())


def generate(case: Case) -> Any:
    return wan21.load(case, found(), "cuda").generate(case, [], lambda *_: None)


def test_every_argument_of_the_case_reaches_the_official_call_under_its_official_name() -> None:
    made = generate(make())
    [model] = official("wan.text2video").WanT2V.made
    expected = {
        "input_prompt": "a raccoon",
        "n_prompt": "blurry",
        "size": (32, 16),
        "frame_num": 6,
        "sampling_steps": 3,
        "guide_scale": 3.5,
        "shift": 2.5,
        "sample_solver": "dpm++",
        "seed": 42,
        "offload_model": True,
    }
    assert model.calls == [expected]
    assert made.passed == expected | {"size": [32, 16]}
    assert made.dropped == []


def test_the_first_noise_is_what_the_cases_seed_gives() -> None:
    with first_noise() as latent:
        generate(make())
    noise = torch.randn(latent["shape"], generator=torch.Generator().manual_seed(42))
    assert (latent["shape"], latent["dtype"], latent["reason"]) == ([3, 5, 16, 32], "float32", None)
    assert latent["sha256"] == hashlib.sha256(noise.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("solver", ["unipc", "dpm++"])
def test_a_traced_run_makes_the_same_frames_and_gives_the_stages(solver: str, tmp_path: Path) -> None:
    case = make(call={"sample_solver": solver})
    untraced, loaded = generate(case), wan21.load(case, found(), "cuda")
    text2video = official("wan.text2video")
    classes = (text2video.T5EncoderModel, text2video.WanVAE, text2video.FlowUniPCMultistepScheduler)
    before = [dict(vars(owner)) for owner in classes]
    asked: Tracing = {"folder": str(tmp_path), "stages": [], "every": 1, "version": "1"}
    with traced(asked, case, loaded) as drew, first_noise(drew) as latent:
        made = loaded.generate(case, [], lambda *_: None)
    assert np.array_equal(made.frames, untraced.frames)
    [entry] = json.loads((tmp_path / "trace.json").read_text())["cases"].values()
    steps = [f"{stage}.{step}" for step in range(3) for stage in ("latents", "model_output")]
    first = ["prompt_embeds", "negative_prompt_embeds", "noise", "timesteps", "sigmas"]
    assert list(entry["stages"]) == [*first, *steps, "latents.final", "decoded"]
    assert entry["absent"] == {"condition": "the case has no input image"}
    assert entry["stages"]["noise"]["sha256"] == entry["stages"]["latents.0"]["sha256"] == latent["sha256"]
    assert [dict(vars(owner)) for owner in classes] == before


def test_a_case_starts_from_the_latents_that_it_names(tmp_path: Path) -> None:
    noise = torch.randn(1, 3, 5, 16, 32)
    save_file({"latents.0": noise}, tmp_path / "noise.safetensors")
    case = make(latents={"url": "https://example.org/noise.safetensors", "sha256": "0" * 64})
    fetched = cast("Fetched", {**found(), "latents": {"path": str(tmp_path / "noise.safetensors")}})
    asked: Tracing = {"folder": str(tmp_path), "stages": ["latents.0"], "every": 1, "version": "1"}
    loaded, randn = wan21.load(case, fetched, "cuda"), torch.randn
    with (
        traced(asked, case, loaded) as drew,
        first_noise(drew) as latent,
        given_latents(case, fetched, loaded, latent),
    ):
        made = loaded.generate(case, [], lambda *_: None)
    assert torch.randn is randn
    assert not np.array_equal(made.frames, generate(make()).frames)
    assert torch.equal(load_file(tmp_path / "tiny.safetensors")["latents.0"], noise)
    assert (latent["given"], latent["shape"]) == ("https://example.org/noise.safetensors", [3, 5, 16, 32])
    assert latent["sha256"] == hashlib.sha256(noise.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_video_that_is_not_finite_is_no_black_video(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    class_ = official("wan.text2video").WanT2V
    official_generate = class_.generate
    monkeypatch.setattr(class_, "generate", lambda *args, **kwargs: official_generate(*args, **kwargs) * value)
    with pytest.raises(SourceError, match=r"holds (NaN|infinity)"):
        generate(make())


def test_models_stay_on_the_gpu_if_the_case_says_so() -> None:
    assert generate(make(runtime={"offload": "none"})).passed["offload_model"] is False


@pytest.mark.parametrize("t5_cpu", [True, False])
def test_the_constructor_gets_the_checkpoint_the_device_and_where_the_text_encoder_runs(t5_cpu: bool) -> None:
    loaded = wan21.load(make(runtime={"t5_cpu": t5_cpu}), found(), "cuda")
    [model] = official("wan.text2video").WanT2V.made
    one_gpu = {"device_id": 0, "rank": 0, "t5_fsdp": False, "dit_fsdp": False, "use_usp": False}
    config = official("wan.configs").WAN_CONFIGS["t2v-1.3B"]
    assert model.options == {"config": config, "checkpoint_dir": "/weights/wan", "t5_cpu": t5_cpu, **one_gpu}
    assert loaded.pipeline == "WanT2V"


def test_steps_are_reported_and_the_frames_are_those_that_decode() -> None:
    steps: list[tuple[int, int]] = []
    case = make()
    made = wan21.load(case, found(), "cuda").generate(case, [], lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert made.frames.shape == (5, 16, 32, 3)  # of 6 frames asked for, a VAE that takes 4k + 1 makes 5


def test_sdpa_stands_in_for_flash_attention_everywhere_and_only_during_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = [official(f"wan.modules{name}") for name in ("", ".attention", ".model", ".clip")]
    during: list[Any] = []
    text2video = official("wan.text2video")
    run = text2video.WanT2V.generate

    def ran(model: Any, **arguments: Any) -> Any:
        during.extend(module.flash_attention for module in modules)
        return run(model, **arguments)

    monkeypatch.setattr(text2video.WanT2V, "generate", ran)
    before, tqdm = [module.flash_attention for module in modules], text2video.tqdm
    generate(make())
    assert during == [varlen_sdpa] * 4
    assert [module.flash_attention for module in modules] == before
    assert text2video.tqdm is tqdm


def test_what_was_replaced_is_put_back_after_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    text2video, model = official("wan.text2video"), official("wan.modules.model")
    before, tqdm = model.flash_attention, text2video.tqdm

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(text2video.WanT2V, "generate", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        generate(make())
    assert model.flash_attention is before
    assert text2video.tqdm is tqdm


def test_another_package_and_another_function_of_that_name_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = official("wan.modules.attention").flash_attention
    elsewhere = types.ModuleType("elsewhere")
    vars(elsewhere)["flash_attention"] = theirs
    monkeypatch.setitem(sys.modules, "elsewhere", elsewhere)
    another = object()
    monkeypatch.setattr(official("wan.modules.clip"), "flash_attention", another)
    with in_place_of(theirs, "wan"):
        assert vars(elsewhere)["flash_attention"] is theirs
        assert official("wan.modules.clip").flash_attention is another


def test_flash_attn_is_used_where_the_case_asks_for_it_and_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = official("wan.modules.attention")
    monkeypatch.setattr(attention, "FLASH_ATTN_2_AVAILABLE", True)
    sdpa, flash = generate(make()), generate(make(runtime={"attention": "flash_attn"}))
    assert not np.array_equal(sdpa.frames, flash.frames)


@pytest.mark.parametrize(
    ("installed", "asked", "message"),
    [
        ((), "flash_attn", "finds no flash_attn package here; sdpa needs none"),
        ((2, 3), "flash_attn", "would take flash_attn_3"),
        ((2,), "flash_attn_3", "would take flash_attn here"),
        ((), "xformers", "attention 'xformers' cannot be had"),
    ],
)
def test_another_flash_attn_than_the_one_that_would_run_is_refused(
    installed: tuple[int, ...], asked: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in installed:
        monkeypatch.setattr(official("wan.modules.attention"), f"FLASH_ATTN_{version}_AVAILABLE", True)
    with pytest.raises(SourceError, match=message):
        generate(make(runtime={"attention": asked}))
    assert official("wan.text2video").WanT2V.made == []


@pytest.mark.parametrize(
    ("device", "changes", "message"),
    [
        ("cpu", {}, "runs on CUDA devices only"),
        ("cuda", {"runtime": {"generator_device": "cpu"}}, "generator_device must be cuda"),
        ("cuda", {"runtime": {"quantization": "fp8-cast"}}, "no quantization 'fp8-cast'"),
        ("cuda", {"runtime": {"offload": "sequential"}}, "no offload 'sequential'"),
        ("cuda", {"runtime": {"dtype": "fp16"}}, r"computes in torch\.bfloat16, which is not the case's fp16"),
        ("cuda", {"config": "t2v-7B"}, "no config 't2v-7B'; there are t2v-14B, t2v-1.3B"),
        ("cuda", {"inputs": [{"path": "picture.png"}]}, "neither LoRAs nor input images"),
        ("cuda", {"loras": [{"repo": "a/lora"}]}, "neither LoRAs nor input images"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_loaded(
    device: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        wan21.load(make(**changes), found(), device)
    assert official("wan.text2video").WanT2V.made == []


@pytest.mark.parametrize("name", CALL)
def test_an_argument_that_the_case_leaves_out_is_an_error_not_a_default(name: str) -> None:
    with pytest.raises(SourceError, match=f"must name {name}$"):
        generate(make(call={name: None}))


def test_an_empty_negative_prompt_is_an_error_because_the_repository_would_take_its_own() -> None:
    with pytest.raises(SourceError, match="must write it out"):
        generate(make(call={"negative_prompt": ""}))


def test_arguments_that_the_call_does_not_take_are_recorded_as_dropped() -> None:
    made = generate(make(call={"true_cfg_scale": 4.0, "fps": 24}))
    assert made.dropped == ["fps", "true_cfg_scale"]
    assert not {"fps", "true_cfg_scale"} & set(made.passed)


def decoded(monkeypatch: pytest.MonkeyPatch, video: torch.Tensor) -> Any:
    """The frames that we make of what the pipeline returns."""
    monkeypatch.setattr(official("wan.text2video").WanT2V, "generate", lambda *_, **__: video)
    return generate(make()).frames


def test_frames_of_minus_one_to_one_become_bytes_as_upstream_truncates_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.tensor([-1.0, -0.5, 0.0, 0.5, 0.999, 1.0]).view(1, 1, 1, 6).expand(3, 2, 4, 6)
    frames = decoded(monkeypatch, values)
    assert frames.shape == (2, 4, 6, 3)
    assert frames.dtype == np.uint8
    assert frames[1, 3, :, 2].tolist() == [0, 63, 127, 191, 254, 255]


def test_a_frame_without_negative_values_counts_as_one_of_zero_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    video = torch.tensor([[-1.0, 0.5], [0.0, 0.5]]).view(1, 2, 1, 2).expand(3, 2, 1, 2)
    first, second = decoded(monkeypatch, video)[:, 0, :, 0].tolist()
    assert first == [0, 191]
    assert second == [0, 127]


@with_checkout
def test_frames_are_those_that_the_repository_would_write(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("wan_utils", CHECKOUT / "wan" / "utils" / "utils.py")
    assert spec is not None
    assert spec.loader is not None
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    written: list[Any] = []

    class Writer:
        append_data = written.append

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(utils.imageio, "get_writer", lambda *_, **__: Writer())
    video = torch.randn(3, 5, 16, 32, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    assert utils.cache_video(video[None], "video.mp4", nrow=1)
    assert np.array_equal(np.stack(written), decoded(monkeypatch, video))


def plain_attention(q: Any, k: Any, v: Any, sees: Any, scale: float) -> Any:
    """Attention of one head in double precision; a query that sees no key gives zeros."""
    scores = q @ k.T * scale
    weights = np.where(sees, np.exp(scores - np.max(scores, initial=0.0)), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0) @ v


@st.composite
def attentions(draw: st.DrawFn) -> dict[str, Any]:
    """Any call of flash_attention."""
    batch, rows, keys = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    heads, group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    shapes = {"q": (batch, rows, heads * group, 8), "k": (batch, keys, heads, 8), "v": (batch, keys, heads, 8)}
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))

    def lengths(most: int) -> torch.Tensor | None:
        chosen = draw(st.none() | st.lists(st.integers(0, most), min_size=batch, max_size=batch))
        return None if chosen is None else torch.tensor(chosen)

    return {
        **{name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()},
        "q_lens": lengths(rows),
        "k_lens": lengths(keys),
        "softmax_scale": draw(st.none() | st.floats(0.1, 2)),
        "q_scale": draw(st.none() | st.floats(0.1, 2)),
        "causal": draw(st.booleans()),
        "window_size": draw(st.tuples(st.integers(-1, 3), st.integers(-1, 3))),
    }


def expected_attention(call: dict[str, Any]) -> Any:
    """Sequence by sequence, head by head, key by key."""
    batch, rows, heads, channels = call["q"].shape
    keys, group = call["k"].shape[1], heads // call["k"].shape[2]
    q, k, v = (_as_computed(call[name]) for name in ("q", "k", "v"))
    left, right = call["window_size"][0], 0 if call["causal"] else call["window_size"][1]
    scale = (call["softmax_scale"] or channels**-0.5) * (call["q_scale"] or 1.0)
    out = np.zeros((batch, rows, heads, channels))
    for index in range(batch):
        lq = rows if call["q_lens"] is None else int(call["q_lens"][index])
        lk = keys if call["k_lens"] is None else int(call["k_lens"][index])
        ahead = np.arange(lk)[None] - (np.arange(lq)[:, None] + lk - lq)
        sees = ((ahead >= -left) | (left < 0)) & ((ahead <= right) | (right < 0))
        for head in range(heads):
            theirs = k[index, :lk, head // group], v[index, :lk, head // group]
            out[index, :lq, head] = plain_attention(q[index, :lq, head], *theirs, sees, scale)
    return out


def _as_computed(tensor: torch.Tensor) -> Any:
    half = tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 else tensor
    return half.double().numpy()


@settings(max_examples=150, deadline=None)
@given(attentions())
def test_sdpa_gives_what_plain_attention_gives(call: dict[str, Any]) -> None:
    out = varlen_sdpa(**call)
    assert out.dtype == call["q"].dtype
    assert np.allclose(out.double().numpy(), expected_attention(call), atol=0.04, rtol=0.04)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_full_precision_is_computed_in_the_half_precision_that_the_call_names(dtype: torch.dtype) -> None:
    q, k, v = (torch.randn(1, 4, 1, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    half = varlen_sdpa(q.to(dtype), k.to(dtype), v.to(dtype))
    assert varlen_sdpa(q, k, v, dtype=dtype).equal(half.float())


def test_sdpa_takes_what_flash_attention_takes() -> None:
    theirs = inspect.signature(official("wan.modules.attention").flash_attention).parameters
    ours = inspect.signature(varlen_sdpa).parameters
    assert [(each.name, each.default) for each in ours.values()] == [
        (each.name, each.default) for each in theirs.values()
    ]


def importers(root: Path) -> set[str]:
    """The modules that import flash_attention, less the one that is for several GPUs."""
    return {
        path.relative_to(root).as_posix()
        for path in (root / "wan").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and "flash_attention" in {alias.name for alias in node.names}
    }


@with_checkout
def test_the_stand_in_has_the_names_that_we_use_of_the_pinned_repository() -> None:
    assert importers(STAND_IN) == importers(CHECKOUT)
    assert names_of_configs(STAND_IN) == [*names_of_configs(CHECKOUT), "ti2v-5B"]  # which is of Wan2.2
    calls = [each for each in ast.walk(parsed(CHECKOUT, "text2video.py")) if isinstance(each, ast.Call)]
    assert sum(ast.unparse(call.func) == "tqdm" for call in calls) == 1  # one loop: the steps are counted over it


def test_nothing_but_the_pinned_checkout_is_imported() -> None:
    assert official("wan.text2video").__file__ == str(STAND_IN / "wan" / "text2video.py")


def test_another_copy_that_was_imported_before_is_refused(tmp_path: Path) -> None:
    official("wan.configs")
    (tmp_path / "wan").mkdir()
    with pytest.raises(SourceError, match="another copy was imported before it in this process"):
        import_official("wan.configs", make(), found(tmp_path))


def test_the_checkout_goes_before_a_copy_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wan").mkdir()
    (tmp_path / "wan" / "__init__.py").write_text("raise RuntimeError('not the pinned one')")
    monkeypatch.syspath_prepend(tmp_path)
    assert official("wan").__file__ == str(STAND_IN / "wan" / "__init__.py")


def test_a_package_that_the_repository_needs_and_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "wan").mkdir()
    (tmp_path / "wan" / "__init__.py").write_text("import no_such_package.part")
    with pytest.raises(SourceError, match="wan needs the Python package 'no_such_package': install it"):
        import_official("wan.configs", make(), found(tmp_path))


def test_a_part_that_the_checkout_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the checkout holds no wan\.text3video: look at `paths`"):
        import_official("wan.text3video", make(), found())
    with pytest.raises(SourceError, match="has no folder absent"):
        import_official("wan", make(code={"paths": ["absent"]}), found(tmp_path))


def test_an_import_that_fails_otherwise_says_why(tmp_path: Path) -> None:
    (tmp_path / "wan").mkdir()
    (tmp_path / "wan" / "__init__.py").write_text("from torch import no_such_name")
    with pytest.raises(SourceError, match="wan cannot be imported: cannot import name 'no_such_name'"):
        import_official("wan", make(), found(tmp_path))


def test_without_a_checkout_the_advice_names_the_pin() -> None:
    with pytest.raises(SourceError, match=f"put the checkout of Wan-Video/Wan2.1 at {PIN} on PYTHONPATH"):
        import_official("wan.configs", make(), found(None))
