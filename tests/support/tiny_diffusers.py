"""Tiny random weights for the pipeline of every official Diffusers case, laid out as `gt --models DIR` wants them.

Each repository is saved by the real pipeline class, and loads as the real one does. Text encoders, tokenizers,
autoencoders and the drawing of weights are the runner's own (`gt_runner.sources.tiny`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from diffusers import (
    AutoencoderKLQwenImage,
    Flux2Pipeline,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageLayeredPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralImageProcessor,
    PixtralProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3Model,
)

from gt_runner.sources.tiny import autoencoders, flux, flux2, text_encoders, tokenizers
from gt_runner.sources.tiny.autoencoders import LATENT_CHANNELS
from gt_runner.sources.tiny.text_encoders import PEAKED, WIDTH
from gt_runner.sources.tiny.weights import fill

SEED = 0
HEADS, HEAD = 2, 32
PIXTRAL_SPECIAL = ["[IMG]", "[IMG_BREAK]", "[IMG_END]"]
PIXTRAL_CHAT = (
    "{% for message in messages %}[{{ message['role'] }}]"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}"
)
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 16}
QWEN_CHANNELS = 8  # of a latent; with as many as an image has, the layered pipeline takes an image for its latent
PATCH = 14  # pixels, of what the language model sees


def build(models: Path) -> None:
    """Save every repository under `models`."""
    for repo, pipeline in REPOSITORIES.items():
        pipeline().save_pretrained(models / repo)


def flux2_dev() -> Any:
    """FLUX.2-dev. Its text encoder is Mistral 3, of which it reads the hidden states 10, 20 and 30."""
    tokenizer = tokenizers.qwen()
    tokenizer.add_tokens(PIXTRAL_SPECIAL, special_tokens=True)
    config = Mistral3Config(
        text_config={
            "model_type": "mistral",
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 64,
            "num_hidden_layers": 30,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
        },
        vision_config={"model_type": "pixtral", "image_size": 4 * PATCH, "patch_size": PATCH, **VISION},
        image_token_index=tokenizer.convert_tokens_to_ids(PIXTRAL_SPECIAL[0]),
    )
    return Flux2Pipeline(
        scheduler=flux2.scheduler(),
        vae=autoencoders.kl_flux2(SEED),
        text_encoder=fill(Mistral3ForConditionalGeneration(config), SEED, PEAKED),
        tokenizer=PixtralProcessor(
            PixtralImageProcessor(patch_size=PATCH), tokenizer, patch_size=PATCH, chat_template=PIXTRAL_CHAT
        ),
        transformer=flux2.transformer(SEED, guidance=True),
    )


def zimage() -> Any:
    """Z-Image, which reads the last but one hidden state of Qwen3."""
    transformer = ZImageTransformer2DModel(
        in_channels=LATENT_CHANNELS,
        dim=HEADS * HEAD,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=HEADS,
        n_kv_heads=HEADS,
        cap_feat_dim=WIDTH,
        axes_dims=[8, 12, 12],
        axes_lens=[1024, 64, 64],
    )
    return ZImagePipeline(
        scheduler=flux2.scheduler(),
        vae=autoencoders.kl(SEED),
        text_encoder=text_encoders.qwen3(SEED, 3, Qwen3Model),
        tokenizer=tokenizers.qwen(),
        transformer=fill(transformer, SEED),
    )


def qwen_image(pipeline: Any, *, image_channels: int = 3, **transformer: bool) -> Any:
    """A pipeline of the Qwen-Image family; `transformer` holds what its members differ in."""
    tokenizer = tokenizers.qwen(_whole_words(pipeline))
    parts = {
        "scheduler": flux2.scheduler(),
        "vae": _qwen_autoencoder(image_channels),
        "text_encoder": _qwen_vl(tokenizer),
        "tokenizer": tokenizer,
        "transformer": _qwen_transformer(**transformer),
    }
    if pipeline is not QwenImagePipeline:
        pixels = {"min_pixels": (4 * PATCH) ** 2, "max_pixels": (8 * PATCH) ** 2}
        parts["processor"] = Qwen2VLProcessor(
            Qwen2VLImageProcessor(patch_size=PATCH, **pixels), tokenizer, Qwen2VLVideoProcessor(patch_size=PATCH)
        )
    return pipeline(**parts)


def _whole_words(pipeline: Any) -> list[tuple[str, str]]:
    """Merges that make one token of each word of a pipeline's template.

    It drops a fixed number of leading tokens, just those of the template in the real vocabulary: so it must be here.
    """
    parts = ["scheduler", "vae", "text_encoder", "tokenizer", "transformer"]
    parts += [] if pipeline is QwenImagePipeline else ["processor"]
    template = pipeline(**dict.fromkeys(parts)).prompt_template_encode
    split = tokenizers.qwen().backend_tokenizer.pre_tokenizer.pre_tokenize_str
    merges: dict[tuple[str, str], int] = {}  # by rank: the lowest one in a word is merged first
    for text in re.split(r"<\|\w+\|>", template):
        for word, _ in split(text):
            _merge(word, merges)
    return list(merges)


def _merge(word: str, merges: dict[tuple[str, str], int]) -> None:
    """Merge a word as byte-pair encoding does, and add what is missing to make it whole."""
    parts = list(word)
    while len(parts) > 1:
        pair = min(pairwise(parts), key=lambda pair: merges.get(pair, len(merges)))
        merges.setdefault(pair, len(merges))
        at = list(pairwise(parts)).index(pair)
        parts[at : at + 2] = ["".join(pair)]


def _qwen_autoencoder(channels: int) -> Any:
    model = AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=QWEN_CHANNELS,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        input_channels=channels,
        latents_mean=[0.0] * QWEN_CHANNELS,
        latents_std=[1.0] * QWEN_CHANNELS,
    )
    return fill(model, SEED, autoencoders.SOFT | {"decoder.conv_out": 2.0, "encoder.conv_out": 4.0})


def _qwen_transformer(**options: bool) -> Any:
    model = QwenImageTransformer2DModel(
        in_channels=4 * QWEN_CHANNELS,
        out_channels=QWEN_CHANNELS,
        num_layers=1,
        attention_head_dim=HEAD,
        num_attention_heads=HEADS,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(8, 12, 12),
        **options,
    )
    return fill(model, SEED, {"norm_q": 3.0, "to_out": 6.0, "img_mod": 0.3})  # else prompt and image hardly show


def _qwen_vl(tokenizer: Any) -> Any:
    special = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    end = tokenizer.eos_token_id
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
            "bos_token_id": end,
            "eos_token_id": end,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 1,
            "out_hidden_size": WIDTH,
            "patch_size": PATCH,
            "fullatt_block_indexes": [0],
        },
        **special,
    )
    return fill(Qwen2_5_VLForConditionalGeneration(config), SEED, PEAKED)


REPOSITORIES: dict[str, Callable[[], Any]] = {
    "black-forest-labs/FLUX.1-dev": lambda: flux.pipeline(SEED),
    "black-forest-labs/FLUX.2-dev": flux2_dev,
    "black-forest-labs/FLUX.2-klein-4B": lambda: flux2.klein(SEED),
    "black-forest-labs/FLUX.2-klein-base-4B": lambda: flux2.klein(SEED, distilled=False),
    "Qwen/Qwen-Image": lambda: qwen_image(QwenImagePipeline),
    "Qwen/Qwen-Image-Edit": lambda: qwen_image(QwenImageEditPipeline),
    "Qwen/Qwen-Image-Edit-2509": lambda: qwen_image(QwenImageEditPlusPipeline),
    "Qwen/Qwen-Image-Edit-2511": lambda: qwen_image(QwenImageEditPlusPipeline, zero_cond_t=True),
    "Qwen/Qwen-Image-Layered": lambda: qwen_image(
        QwenImageLayeredPipeline, image_channels=4, use_additional_t_cond=True, use_layer3d_rope=True
    ),
    "Tongyi-MAI/Z-Image-Turbo": zimage,
}
