"""The words that options choose from."""

from __future__ import annotations

import enum


class Source(enum.Enum):
    """An implementation that runs cases."""

    DIFFUSERS = "diffusers"
    """The Diffusers pipeline of the model's repository."""

    WAN21 = "wan21"
    """The Wan2.1 repository."""

    LTX = "ltx"
    """The LTX-2 repository."""

    SMOKE = "smoke"
    """Tiny random weights, for trying out."""


class PublishWay(enum.Enum):
    """The way to a data repository."""

    GIT = "git"
    """By the git protocol: any server."""

    GITHUB_API = "github-api"
    """By GitHub's API: for repositories on GitHub that are large."""


class GpuKind(enum.Enum):
    """Where cases run."""

    NEEDED = "needed"  # an option of a Dagger enum type cannot be null
    """On the kind that each of them needs."""

    ANY = "any"
    """Whatever the engine has."""

    CPU = "cpu"
    """No GPU."""

    H100 = "h100"
    """NVIDIA H100."""

    H100_NVL = "h100-nvl"
    """NVIDIA H100 NVL."""

    H100_PCIE = "h100-pcie"
    """NVIDIA H100 PCIe."""

    H100_SXM = "h100-sxm"
    """NVIDIA H100 SXM."""

    H200 = "h200"
    """NVIDIA H200."""

    H200_NVL = "h200-nvl"
    """NVIDIA H200 NVL."""

    H200_SXM = "h200-sxm"
    """NVIDIA H200 SXM."""

    B200 = "b200"
    """NVIDIA B200."""

    B300 = "b300"
    """NVIDIA B300."""

    GB200 = "gb200"
    """NVIDIA GB200."""

    A100 = "a100"
    """NVIDIA A100."""

    A100_PCIE = "a100-pcie"
    """NVIDIA A100 PCIe."""

    A100_SXM = "a100-sxm"
    """NVIDIA A100 SXM."""

    L40S = "l40s"
    """NVIDIA L40S."""

    L4 = "l4"
    """NVIDIA L4."""

    RTX4090 = "4090"
    """NVIDIA GeForce RTX 4090."""

    RTX5090 = "5090"
    """NVIDIA GeForce RTX 5090."""
