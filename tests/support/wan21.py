"""A tiny case of the Wan2.1 source, and where the repository is, if it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support import wan

if TYPE_CHECKING:
    from gt_runner.contract import Case

PIN = "9737cba9c1c3c4d04b33fcad41c111989865d315"
CHECKOUT, with_checkout = wan.checkout("GT_WAN21_CHECKOUT", "Wan-Video/Wan2.1", PIN)
CALL = wan.CALL | {"width": 32, "height": 16}


def make(**changes: Any) -> Case:
    """A case of text to video."""
    parts = {
        "source": "wan21",
        "config": "t2v-1.3B",
        "code": {"repo": "Wan-Video/Wan2.1", "commit": PIN, "paths": ["."]},
        "call": CALL,
        "runtime": wan.RUNTIME | {"offload": "model"},
    }
    return wan.changed(parts, changes)
