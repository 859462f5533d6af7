"""Writes the published JSON Schemas from the models that validate: `uv run python -m ci.artifact.schemas`."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from ..catalogue.files import CASES
from ..catalogue.model import AnyFile
from .manifest import Manifest

PUBLISHED = {
    CASES / "case.schema.json": TypeAdapter[object](AnyFile),
    Path(__file__).parent / "manifest.schema.json": TypeAdapter[object](Manifest),
}


def text(model: TypeAdapter[object]) -> str:
    """A model's schema as it is committed."""
    return json.dumps(model.json_schema(), indent=2) + "\n"


def write() -> None:
    """Write every schema."""
    for path, model in PUBLISHED.items():
        path.write_text(text(model), encoding="utf-8")


if __name__ == "__main__":
    write()
