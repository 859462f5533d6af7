"""Stands in for the package `wan` of the Wan2.1 and Wan2.2 repositories: their names and signatures, and no model.

Tests of ours compare them with the repositories at their pins, where checkouts of them are at hand.
"""

from . import configs, modules
from .text2video import WanT2V
from .textimage2video import WanTI2V

__all__ = ["WanT2V", "WanTI2V", "configs", "modules"]
