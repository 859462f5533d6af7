"""Stands in for the package `wan` of the Wan2.1 repository: the same names and signatures, no model behind them.

A test of ours compares them with the repository at its pin, where a checkout of it is at hand.
"""

from . import configs, modules
from .text2video import WanT2V

__all__ = ["WanT2V", "configs", "modules"]
