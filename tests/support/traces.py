"""Traces of a little model of 64 channels, run step by step, and the ways to make a run differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Tensors = dict[str, NDArray[Any]]
DTYPES: Mapping[str, Any] = {"bf16": ml_dtypes.bfloat16, "fp16": np.float16, "fp32": np.float32}
SCALING, SHIFT = 0.3611, 0.1159  # of FLUX.1's autoencoder
TOKENS, CHANNELS = 96, 64


@dataclass(frozen=True)
class Run:
    """A run, and what may be wrong with it."""

    dtype: str = "fp32"
    text_dtype: str = ""
    steps: int = 5
    seed: int = 0
    sigma_shift: float = 3.0
    guidance: float = 4.0
    vae_shift: float = SHIFT
    left_out: int | None = None  # a step whose sigmas are those of the next
    ends_after: int | None = None  # steps
    image: int | None = None  # which input image, seen by the text encoder too

    def tensors(self) -> Tensors:
        """What the run traces."""
        dtype = DTYPES[self.dtype]
        text = [_normal(seed, (1, 24, CHANNELS)) for seed in (1, 2)]
        found: Tensors = {}
        if self.image is not None:
            found["condition.0"] = _normal(100 + self.image, (1, TOKENS, CHANNELS)).astype(dtype)
            text = [each + 0.1 * _normal(200 + self.image, each.shape) for each in text]
        prompt, negative = (each.astype(DTYPES[self.text_dtype or self.dtype]).astype(dtype) for each in text)
        found |= {"prompt_embeds": prompt, "negative_prompt_embeds": negative}
        found["noise"] = _normal(self.seed + 10, (1, 16, 16, 24)).astype(dtype)
        line = np.linspace(1, 1 / self.steps, self.steps, dtype=np.float32)
        sigmas = (self.sigma_shift * line / (1 + (self.sigma_shift - 1) * line)).astype(np.float32)
        found |= {"timesteps": sigmas * 1000, "sigmas": np.append(sigmas, np.float32(0))}
        latents = packed(found["noise"])
        for step in range(self.steps if self.ends_after is None else self.ends_after):
            found[f"latents.{step}"] = latents
            output = self._output(latents, found, step).astype(dtype)
            found[f"model_output.{step}"] = output
            at = step + 1 if step == self.left_out else step
            length = found["sigmas"][at + 1] - found["sigmas"][at]
            latents = (latents.astype(np.float32) + length * output.astype(np.float32)).astype(dtype)
        found["latents.final"] = latents
        decoder = _normal(8, (CHANNELS, 48)) / 8
        found["decoded"] = np.tanh((latents.astype(np.float32) / SCALING + self.vae_shift) @ decoder).astype(dtype)
        return found

    def _output(self, latents: NDArray[Any], found: Tensors, step: int) -> NDArray[np.float32]:
        """The prediction with guidance."""
        weights = _normal(9, (CHANNELS, CHANNELS)) / 8
        predictions = []
        for name in ("prompt_embeds", "negative_prompt_embeds"):
            said = found[name].astype(np.float32).mean(axis=1, keepdims=True)
            predictions.append(np.tanh(latents.astype(np.float32) @ weights + said + found["sigmas"][step]))
        prompted, negative = predictions
        guided: NDArray[np.float32] = negative + np.float32(self.guidance) * (prompted - negative)
        return guided


def packed(latents: NDArray[Any]) -> NDArray[Any]:
    """Latents as FLUX packs them: patches of 2 x 2 become tokens."""
    batch, channels, height, width = latents.shape
    patches = latents.reshape(batch, channels, height // 2, 2, width // 2, 2).transpose(0, 2, 4, 1, 3, 5)
    return patches.reshape(batch, height * width // 4, channels * 4)


def unpacked(tokens: NDArray[Any]) -> NDArray[Any]:
    """The same undone, for latents of 16 x 24."""
    return tokens.reshape(1, 8, 12, 16, 2, 2).transpose(0, 3, 1, 4, 2, 5).reshape(1, 16, 16, 24)


def write(folder: Path, cases: Mapping[str, Tensors], **words: Any) -> Path:
    """A trace with no more than a trace must have; `words` go into each case."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in cases.items():
        save_file(
            {stage: np.ascontiguousarray(tensor) for stage, tensor in tensors.items()}, folder / f"{name}.safetensors"
        )
    entries = {name: {"file": f"{name}.safetensors", **words} for name in cases}
    (folder / "trace.json").write_text(json.dumps({"schema_version": 1, "cases": entries}))
    return folder


def _normal(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
