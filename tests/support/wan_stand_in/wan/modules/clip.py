"""The image encoder, which text-to-video does not use; it is here because it calls the same attention."""

from .attention import flash_attention

__all__ = ["flash_attention"]
