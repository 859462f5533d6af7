"""Splits native cases into parts by expected time, by the rules of upstream's own tool.

The figures are the defaults of sgl-project/sglang `scripts/ci/utils/diffusion/compute_diffusion_partitions.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

MIN_SECONDS = 1200.0
TARGET_SECONDS = 1800.0
MAX_SECONDS = 2400.0
MAX_PARTS = 10


def partition(seconds: Mapping[str, float]) -> list[list[str]]:
    """Parts of about TARGET_SECONDS, each id in just one of them; longest id first, always onto the emptiest part.

    The order of `seconds` does not matter. A case that is longer than MAX_SECONDS stays whole. Where upstream would
    start empty parts (fewer ids than parts), there are none.
    """
    parts: list[list[str]] = [[] for _ in range(_count(math.fsum(seconds.values())))]
    loads = [0.0] * len(parts)
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        emptiest = loads.index(min(loads))
        parts[emptiest].append(name)
        loads[emptiest] += seconds[name]
    return [part for part in parts if part]


def _count(total: float) -> int:
    """As near to the target as the bounds allow. They never exclude each other, since one is twice the other."""
    fewest = math.ceil(total / MAX_SECONDS)
    most = max(1, math.floor(total / MIN_SECONDS))
    wanted = max(fewest, min(math.ceil(total / TARGET_SECONDS), most))
    return max(1, min(wanted, MAX_PARTS))
