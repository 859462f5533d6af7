"""What the tests of the Wan sources have in common: the stand-in, the checkouts, and reading signatures off source.

A checkout is the folder that a variable names, or the one in our cache. There is none on a machine that has run no case
of its source.
"""

from __future__ import annotations

import ast
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import platformdirs
import pytest

from ci import ROOT
from tests.support.factory import OF_REPOSITORIES, merged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gt_runner.contract import Case, Fetched

CALL = {
    "prompt": "a raccoon",
    "negative_prompt": "blurry",
    "num_frames": 6,
    "num_inference_steps": 3,
    "guidance_scale": 3.5,
    "flow_shift": 2.5,
    "sample_solver": "dpm++",
    "seed": 42,
}
RUNTIME = OF_REPOSITORIES | {"t5_cpu": False}
STAND_IN = ROOT / "tests" / "support" / "wan_stand_in"
CACHE = Path(os.environ.get("GT_CACHE") or platformdirs.user_cache_path("diffusion-gt"))


def checkout(variable: str, repo: str, pin: str) -> tuple[Path, pytest.MarkDecorator]:
    """Where a checkout is, and the mark of what needs it."""
    folder = Path(os.environ.get(variable) or CACHE / "code" / f"{repo.replace('/', '--')}@{pin}")
    reason = f"no checkout of {repo} at {pin} is here; {variable} names one"
    return folder, pytest.mark.skipif(not folder.is_dir(), reason=reason)


def changed(parts: dict[str, Any], changes: dict[str, Any]) -> Case:
    """A case of these parts; a change is merged into the part that it names, and None takes a key away."""
    case = {"id": "tiny", "model": {"repo": "tiny/wan"}, **parts}
    for name, change in changes.items():
        case[name] = merged(case.get(name, {}), change) if isinstance(change, dict) else change
    return cast("Case", case)


def found(code: Path | None = STAND_IN, weights: Path = Path("/weights/wan")) -> Fetched:
    """What a fetch of the model tiny/wan gives."""
    repository = {"repo": "tiny/wan", "path": str(weights), "commit": None, "digest": "", "bytes": 0}
    return cast("Fetched", {"repositories": {"tiny/wan": repository}, "code": code and str(code), "inputs": []})


@contextmanager
def fresh_imports(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """While open, nobody finds the package that somebody imported before, and nobody does after."""
    patch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "wan"]:
        del sys.modules[name]


def parsed(root: Path, module: str) -> ast.Module:
    """A module of the package."""
    return ast.parse((root / "wan" / module).read_text(encoding="utf-8"))


def signature(root: Path, module: str, name: str) -> list[tuple[str, str | None]]:
    """Names and defaults of a function's parameters, read off its source: importing the official one takes a GPU."""
    functions = [each for each in ast.walk(parsed(root, module)) if isinstance(each, ast.FunctionDef)]
    [arguments] = [each.args for each in functions if each.name == name]
    names = [argument.arg for argument in arguments.args]
    defaults = [None] * (len(names) - len(arguments.defaults)) + [*map(ast.unparse, arguments.defaults)]
    return list(zip(names, defaults, strict=True))


def names_of_configs(root: Path) -> list[str]:
    """The keys of the package's WAN_CONFIGS."""
    [value] = [
        node.value
        for node in ast.walk(parsed(root, "configs/__init__.py"))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WAN_CONFIGS"
    ]
    assert isinstance(value, ast.Dict)
    return [ast.literal_eval(key) for key in value.keys if key is not None]
