"""Runs cases through the official Wan2.1 repository: its text-to-video class."""

from __future__ import annotations

from functools import partial

from . import wan

RELEASE = wan.Release("Wan2.1", "wan.text2video", "WanT2V", "WanVAE", ("t5_cpu",))
load = partial(wan.load, RELEASE)
