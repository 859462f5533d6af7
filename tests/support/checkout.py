"""Checkouts of engines, where the caller has them: upstream's code is read there, and not kept here."""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "GT_SGLANG_CHECKOUT"


def sglang_checkout(*needed: Path | str) -> Path:
    """A checkout of sgl-project/sglang."""
    return checkout(VARIABLE, "sgl-project/sglang", *needed)


def checkout(variable: str, repo: str, *needed: Path | str) -> Path:
    """The checkout's root; skips the test, with the reason, where it is not here or lacks a file."""
    root = os.environ.get(variable)
    if not root:
        pytest.skip(f"{variable} names no checkout of {repo}")
    missing = [str(path) for path in needed if not (Path(root) / path).is_file()]
    if missing:
        pytest.skip(f"{root} (from {variable}) lacks {', '.join(missing)}")
    return Path(root)


def picked(path: Path, names: Iterable[str], **known: Any) -> dict[str, Any]:
    """Top-level functions and classes of a file, run without the rest of it: what it imports may not be here.

    `known` stands in for such imports.
    """
    wanted = set(names)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in wanted]
    found: dict[str, Any] = {"math": math, "dataclass": dataclass, "__name__": path.stem, **known}
    exec(compile(tree, str(path), "exec", dont_inherit=True), found)  # noqa: S102  # upstream's tool is the yardstick
    return {name: value for name, value in found.items() if name in wanted}
