"""The dtypes that a trace may be computed in, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np

from ..errors import JudgeError

FLOATS = {  # the coarsest first
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
}
COARSEST_FIRST = tuple(FLOATS)
SHORT = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "float64": "fp64"}  # as cases write them


def short(dtype: str | None) -> str:
    """The name as cases write it; of a dtype that they do not know, its own."""
    return SHORT.get(dtype or "", dtype or "")


def long(name: str) -> str:
    """The name of a dtype that is written short or long. Raises JudgeError where there is none."""
    dtype = next((dtype for dtype in FLOATS if name in (dtype, SHORT[dtype])), None)
    if dtype is None:
        raise JudgeError(f"{name} is no dtype; name one of {', '.join(SHORT.values())}")
    return dtype


def finer(dtypes: Sequence[str]) -> str:
    """The dtype that rounding explains less of; what is no float is exact."""
    return max(dtypes, key=lambda dtype: COARSEST_FIRST.index(dtype) if dtype in FLOATS else len(FLOATS))
