"""Runs cases through the official Wan2.2 repository: its text-and-image-to-video class."""

from __future__ import annotations

from functools import partial

from . import wan

RELEASE = wan.Release("Wan2.2", "wan.textimage2video", "WanTI2V", "Wan2_2_VAE", ("t5_cpu", "convert_model_dtype"))
load = partial(wan.load, RELEASE)
