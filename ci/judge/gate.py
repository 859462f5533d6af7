"""The quality gate as publishing asks it: also against what is published under the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import GateError
from . import on_machine


def gate(artifact: Path, published: Path | None) -> None:
    """Check an artifact on this machine.

    Raises GateError with a line for each bad file, GtError where the gate cannot run.
    """
    on_machine.validated(artifact, images_only=False)
    against = str(published) if published is not None and any(published.iterdir()) else None
    sound(on_machine.check({"artifact": str(artifact), "images_only": False, "published": against}))


def sound(result: dict[str, Any]) -> None:
    """Raises GateError unless a check found nothing."""
    if result["bad"]:
        raise GateError("\n".join([*result["bad"], *on_machine.summary(result)]))
