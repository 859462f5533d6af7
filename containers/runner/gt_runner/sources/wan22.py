"""Runs cases through the official Wan2.2 repository: its text-and-image-to-video class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import wan

if TYPE_CHECKING:
    from ..contract import Case, Fetched

RELEASE = wan.Release("Wan2.2", "wan.textimage2video", "WanTI2V", "Wan2_2_VAE", ("t5_cpu", "convert_model_dtype"))


def load(case: Case, fetched: Fetched, device: str) -> wan.LoadedWan:
    """Load text encoder, transformer and VAE from the checkpoint folder of the original format."""
    return wan.load(RELEASE, case, fetched, device)
