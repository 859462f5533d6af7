"""Files between this process and the engine that runs it, by way of the folder that the engine sees."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import dagger
from dagger import dag


async def exported(directory: dagger.Directory, name: str) -> Path:
    """A copy of a directory here, in a folder of this name."""
    path = _new() / name
    await directory.export(str(path))
    return path


def folder(path: Path) -> dagger.Directory:
    """A folder of this process, for the engine."""
    near = _new()
    shutil.copytree(path, near, dirs_exist_ok=True)
    return dag.current_module().workdir(near.name)


def file(text: str) -> dagger.File:
    """A text as a file. As an argument, all of it would stand in the call's progress, and 128 MiB would be the most."""
    path = _new() / "text"
    path.write_text(text, encoding="utf-8")
    return dag.current_module().workdir_file(f"{path.parent.name}/{path.name}")


def _new() -> Path:
    return Path(tempfile.mkdtemp(dir="."))
