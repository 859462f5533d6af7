"""The parts of the model."""

from .attention import flash_attention

__all__ = ["flash_attention"]
