"""Tiny random weights in the file formats that the LTX-2 code reads, so that tests drive the real pipelines on a CPU.

A checkpoint of 6 MB replaces one of 40 GB: two transformer blocks, narrow VAEs, a Gemma of two layers. Shapes come from
the implementation's own model builders, so a key or shape that it would not load cannot be written here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pytest

# ruff: noqa: PLC0415  # which copy of the implementation is imported is the test's choice, made after this is loaded

Weights = dict[str, torch.Tensor]

CHECKPOINT = "tiny-dev.safetensors"
DISTILLED_LORA = "tiny-distilled-lora.safetensors"
UPSAMPLER = "tiny-upscaler-x2.safetensors"
SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_image>", "<end_of_image>", "<image_soft_token>")

_TRANSFORMER = {
    "num_attention_heads": 2,
    "attention_head_dim": 32,
    "cross_attention_dim": 64,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 16,
    "audio_cross_attention_dim": 32,
    "num_layers": 2,
    "connector_num_attention_heads": 2,
    "connector_attention_head_dim": 32,
    "connector_num_layers": 1,
    "audio_connector_num_attention_heads": 2,
    "audio_connector_attention_head_dim": 16,
    "audio_connector_num_layers": 1,
    "caption_proj_before_connector": True,
    "caption_projection_first_linear": False,
    "caption_proj_input_norm": False,
    "caption_projection_second_linear": False,
    # The rest is what the implementation insists on.
    "dropout": 0.0,
    "attention_bias": True,
    "num_vector_embeds": None,
    "activation_fn": "gelu-approximate",
    "num_embeds_ada_norm": 1000,
    "use_linear_projection": False,
    "only_cross_attention": False,
    "cross_attention_norm": True,
    "double_self_attention": False,
    "upcast_attention": False,
    "standardization_norm": "rms_norm",
    "norm_elementwise_affine": False,
    "qk_norm": "rms_norm",
    "positional_embedding_type": "rope",
    "use_audio_video_cross_attention": True,
    "share_ff": False,
    "av_cross_ada_norm": True,
    "use_middle_indices_grid": True,
}
_VAE = {
    "encoder_blocks": [
        ["compress_space_res", {"multiplier": 1}],
        ["compress_time_res", {"multiplier": 1}],
        ["compress_all_res", {"multiplier": 1}],
        ["compress_all_res", {"multiplier": 1}],
    ],
    # Read from the last to the first; the first three halve the width of 8 x decoder_base_channels.
    "decoder_blocks": [
        ["compress_space", {}],
        ["compress_all", {"multiplier": 2, "residual": True}],
        ["compress_all", {"multiplier": 2, "residual": True}],
        ["compress_time", {}],
    ],
    "decoder_base_channels": 4,
    "timestep_conditioning": False,
    "spatial_padding_mode": "zeros",
}
_AUDIO_VAE = {
    "model": {
        "params": {
            "sampling_rate": 16000,
            "ddconfig": {
                "ch": 128,
                "ch_mult": [1],
                "num_res_blocks": 1,
                "attn_resolutions": [],
                "mid_block_add_attention": False,
                "mel_bins": 64,
            },
        },
    },
}
_VOCODER = {
    "resblock": "1",
    "stereo": True,
    "upsample_initial_channel": 32,
    "upsample_rates": [4],
    "upsample_kernel_sizes": [8],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
}
CONFIG: dict[str, Any] = {"transformer": _TRANSFORMER, "vae": _VAE, "audio_vae": _AUDIO_VAE, "vocoder": _VOCODER}


@dataclass(frozen=True)
class TinyLtx:
    """The folders that a fetch would have left behind."""

    model: Path
    gemma: Path


def build(root: Path) -> TinyLtx:
    """Write a model repository and a Gemma repository under `root`; `shrink_gemma` must have run before."""
    from ltx_core.model.upsampler import LatentUpsamplerConfigurator

    tiny = TinyLtx(model=root / "model", gemma=root / "gemma")
    tiny.model.mkdir(parents=True)
    checkpoint = _checkpoint()
    _save(checkpoint, tiny.model / CHECKPOINT, CONFIG)
    upsampler = {"mid_channels": 32, "num_blocks_per_stage": 1}
    _save(_random(LatentUpsamplerConfigurator, upsampler), tiny.model / UPSAMPLER, upsampler)
    _save(_lora(checkpoint), tiny.model / DISTILLED_LORA, {})
    _write_gemma(tiny.gemma)
    return tiny


def shrink_gemma(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the implementation build a Gemma of two layers; it builds the one of a constant, whatever the weights are.

    The implementation fills the buffers that Gemma computes at start by the names that transformers 4 gave them, which
    transformers 5 does not have: this fills them by whatever name they have.
    """
    from ltx_core.loader.module_ops import ModuleOps
    from ltx_core.text_encoders.gemma.config import GEMMA3_CONFIG_FOR_LTX as CONSTANT

    text = {"hidden_size": 32, "head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    text |= {"num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 128}
    vision = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
    vision |= {"image_size": 28}
    for part, small in ((CONSTANT.text_config, text), (CONSTANT.vision_config, vision)):
        for name, value in small.items():
            monkeypatch.setattr(part, name, value)
    monkeypatch.setattr(CONSTANT, "mm_tokens_per_image", 4)
    operation = ModuleOps("GemmaModel", matcher=lambda module: hasattr(module, "processor"), mutator=_fill_buffers)
    monkeypatch.setattr(f"{_home_of_builders()}.GEMMA_MODEL_OPS", operation)


def _home_of_builders() -> str:
    """Name the module that builds the parts of a pipeline: another one in the release on PyPI than at our pin."""
    pinned = "ltx_pipelines.utils.blocks"
    return pinned if find_spec(pinned) else "ltx_pipelines.utils.model_ledger"


def _fill_buffers(encoder: Any) -> Any:
    with torch.device("cpu"):
        real = type(encoder.model)(encoder.model.config)
    for name, buffer in real.named_buffers():
        owner, _, leaf = name.rpartition(".")
        encoder.model.get_submodule(owner).register_buffer(leaf, buffer, persistent=False)
    return encoder


def _random(configurator: Any, config: dict[str, Any], rename: Callable[[str], str] = str) -> Weights:
    """Random weights for the model that a configurator of the implementation builds, the same on each call."""
    generator = torch.Generator().manual_seed(7)
    with torch.device("meta"):
        state = configurator.from_config(config).state_dict()
    return {rename(key): _draw(key, tensor.shape, generator) for key, tensor in state.items()}


def _draw(key: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        # Twice the usual gain: the effect of a prompt must survive two layers and eight bits a channel.
        return noise * 2 / math.sqrt(math.prod(shape[1:]))
    return (noise * 0.02 + (0 if key.endswith(("bias", "mean-of-means")) else 1)).abs()


def _checkpoint() -> Weights:
    from ltx_core.model.audio_vae import AudioDecoderConfigurator, VocoderConfigurator
    from ltx_core.model.transformer import LTXModelConfigurator
    from ltx_core.model.video_vae import VideoDecoderConfigurator, VideoEncoderConfigurator
    from ltx_core.text_encoders.gemma import EmbeddingsProcessorConfigurator

    parts: Iterable[tuple[Any, Callable[[str], str]]] = (
        (LTXModelConfigurator, lambda key: f"model.diffusion_model.{key}"),
        (EmbeddingsProcessorConfigurator, _embeddings_key),
        (VideoEncoderConfigurator, lambda key: _vae_key("vae.encoder", key)),
        (VideoDecoderConfigurator, lambda key: _vae_key("vae.decoder", key)),
        (AudioDecoderConfigurator, lambda key: _vae_key("audio_vae.decoder", key)),
        (VocoderConfigurator, lambda key: f"vocoder.{key}"),
    )
    weights: Weights = {}
    for configurator, rename in parts:
        weights |= _random(configurator, CONFIG, rename)
    return weights


def _embeddings_key(key: str) -> str:
    if key.startswith("feature_extractor."):
        return key.replace("feature_extractor.", "text_embedding_projection.")
    return "model.diffusion_model." + key.replace("_connector.", "_embeddings_connector.", 1)


def _vae_key(half: str, key: str) -> str:
    """Name a weight of one half of a VAE: the statistics lie beside the halves, which share them."""
    shared = key.startswith("per_channel_statistics.")
    return f"{half.partition('.')[0] if shared else half}.{key}"


def _lora(checkpoint: Weights) -> Weights:
    """Rank 4 on the attention of the transformer, strong enough to show at a strength of 0.25."""
    prefix = "model.diffusion_model.transformer_blocks."
    generator = torch.Generator().manual_seed(8)
    weights: Weights = {}
    for key, tensor in checkpoint.items():
        if key.startswith(prefix) and key.endswith((".to_q.weight", ".to_v.weight")):
            name = key.removeprefix("model.").removesuffix(".weight")
            rows, columns = tensor.shape
            weights[f"{name}.lora_A.weight"] = torch.randn(4, columns, generator=generator) / math.sqrt(columns)
            weights[f"{name}.lora_B.weight"] = torch.randn(rows, 4, generator=generator)
    return weights


def _write_gemma(folder: Path) -> None:
    from ltx_core.text_encoders.gemma import GemmaTextEncoderConfigurator

    weights = _random(GemmaTextEncoderConfigurator, {}, _gemma_key)
    weights.pop("model.lm_head.weight")  # the implementation makes it from the embedding
    (folder / "text_encoder").mkdir(parents=True)
    _save(weights, folder / "text_encoder" / "model.safetensors", {})
    _write_tokenizer(folder / "tokenizer")


def _gemma_key(key: str) -> str:
    language = "model.model.language_model."
    if key.startswith(language):
        return "language_model.model." + key.removeprefix(language)
    return key.removeprefix("model.model.")


def _write_tokenizer(folder: Path) -> None:
    """One token for each ASCII character, so that any two prompts differ."""
    folder.mkdir(parents=True)
    words = [*SPECIAL_TOKENS, *(chr(code) for code in range(32, 127))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer.model").touch()  # the implementation looks for the folder that holds it, and reads none of it
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    vision = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **names, "extra_special_tokens": vision}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    processor = {"image_processor_type": "Gemma3ImageProcessor", "processor_class": "Gemma3Processor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def _save(weights: Weights, path: Path, config: dict[str, Any]) -> None:
    tensors = {key: tensor.to(torch.bfloat16).contiguous() for key, tensor in weights.items()}
    save_file(tensors, path, metadata={"config": json.dumps(config), "model_version": "2.3"})
