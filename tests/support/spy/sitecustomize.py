"""Writes down what reaches `__call__` of each Diffusers pipeline, in a process that has this folder on its path.

A line of JSON for each call goes to the file that GT_SPY names. The call itself is the real one.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCE = "gt_runner.sources.diffusers"


class Spy(importlib.abc.MetaPathFinder):
    """Waits for the source to be imported: Diffusers takes seconds, and most processes of a run need none of it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != SOURCE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                _spy_on(module)

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


def _spy_on(module: Any) -> None:
    load = module.DiffusionPipeline.from_pretrained.__func__

    def loaded(kind: type, *args: Any, **options: Any) -> Any:
        pipeline = load(kind, *args, **options)
        _record_calls(type(pipeline))
        return pipeline

    module.DiffusionPipeline.from_pretrained = classmethod(loaded)  # of a pipeline's own class too


def _record_calls(pipeline: Any) -> None:
    call = pipeline.__call__
    if hasattr(call, "spied"):
        return

    @functools.wraps(call)
    def called(self: Any, *args: Any, **arguments: Any) -> Any:
        seen = {"pipeline": type(self).__name__, "positional": len(args), "dtype": str(self.dtype)}
        seen["arguments"] = {name: described(value) for name, value in arguments.items()}
        with Path(os.environ["GT_SPY"]).open("a") as file:
            file.write(json.dumps(seen) + "\n")
        return call(self, *args, **arguments)

    called.spied = True  # type: ignore[attr-defined]
    pipeline.__call__ = called


def described(value: Any) -> Any:
    """An argument as JSON: an image by its pixels, a generator by its state."""
    if hasattr(value, "get_state"):
        state = hashlib.sha256(value.get_state().numpy().tobytes()).hexdigest()
        return {"device": str(value.device), "state": state}
    if hasattr(value, "tobytes"):
        return {"mode": value.mode, "size": list(value.size), "pixels": hashlib.sha256(value.tobytes()).hexdigest()}
    return [described(item) for item in value] if isinstance(value, list) else value


sys.meta_path.insert(0, Spy())
