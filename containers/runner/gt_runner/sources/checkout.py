"""Imports an official implementation from the checkout that its case pins."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SourceError

if TYPE_CHECKING:
    from types import ModuleType

    from ..contract import Case, Fetched


def import_official(name: str, case: Case, fetched: Fetched) -> ModuleType:
    """Import a module of the implementation: from the checkout, or from where Python finds it if there is none.

    Raises SourceError if it cannot be imported, or if what is imported is not the checkout's: code of another version
    would make a reference that its provenance does not describe.
    """
    roots = _roots(case, fetched)
    sys.path[:0] = [str(root) for root in roots if str(root) not in sys.path]
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise SourceError(_advice(name, error, case, fetched)) from error
    origin = Path(module.__file__ or "").resolve()
    if roots and not any(origin.is_relative_to(root) for root in roots):
        raise SourceError(f"{name} is not the pinned checkout's: another copy was imported before it in this process")
    return module


def _roots(case: Case, fetched: Fetched) -> list[Path]:
    if fetched["code"] is None or "code" not in case:
        return []
    code = case["code"]
    roots = [(Path(fetched["code"]) / path).resolve() for path in code["paths"]]
    missing = [path for path, root in zip(code["paths"], roots, strict=True) if not root.is_dir()]
    if missing:
        raise SourceError(f"{code['repo']} at {code['commit']} has no folder {', '.join(missing)}")
    return roots


def _advice(name: str, error: ImportError, case: Case, fetched: Fetched) -> str:
    package = name.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return f"{package} cannot be imported: {error}"
    module = error.name.partition(".")[0]
    if module != package:
        return f"{package} needs the Python package {module!r}: install it, or run the case in the image of its source"
    if fetched["code"] is not None:
        return f"the checkout holds no {error.name}: look at `paths` of the case's `code`"
    pin = f"{case['code']['repo']} at {case['code']['commit']}" if "code" in case else "the official repository"
    return f"no checkout was fetched and {error.name} is not importable: put the checkout of {pin} on PYTHONPATH"
