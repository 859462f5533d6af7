"""Runs cases through the official Wan2.1 repository: its text-to-video class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import wan

if TYPE_CHECKING:
    from ..contract import Case, Fetched

RELEASE = wan.Release("Wan2.1", "wan.text2video", "WanT2V", "WanVAE", ("t5_cpu",))


def load(case: Case, fetched: Fetched, device: str) -> wan.LoadedWan:
    """Load text encoder, transformer and VAE from the checkpoint folder of the original format."""
    return wan.load(RELEASE, case, fetched, device)
