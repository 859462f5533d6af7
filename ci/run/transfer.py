"""Files between this process and the engine that runs it, by way of the folder that the engine sees."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import dagger
from dagger import dag

from . import spans

COPY = "gt-copy-"  # how the folders of this process are named
_PLACE = re.compile(rf"(?:[^\s'\"]*/)?{COPY}\w+/")


async def exported(directory: dagger.Directory, name: str) -> Path:
    """A copy of a directory here, in a folder of this name."""
    path = fresh_folder() / name
    with spans.step(f"read {name}"):
        await directory.export(str(path))
    return path


async def exported_file(file: dagger.File) -> Path:
    """A copy of a file here, under its own name."""
    path = fresh_folder() / await file.name()
    await file.export(str(path))
    return path


def folder(path: Path) -> dagger.Directory:
    """A folder of this process, for the engine."""
    copy = fresh_folder()
    shutil.copytree(path, copy, dirs_exist_ok=True)
    return dag.current_module().workdir(copy.name)


def file(text: str, name: str = "text") -> dagger.File:
    """A text as a file: an argument would appear in the call's progress, and may hold 128 MiB at most."""
    path = fresh_folder() / name
    path.write_text(text, encoding="utf-8")
    return dag.current_module().workdir_file(f"{path.parent.name}/{path.name}")


def fresh_folder() -> Path:
    """An empty folder that the engine sees."""
    return Path(tempfile.mkdtemp(prefix=COPY, dir="."))


def as_named(text: str) -> str:
    """The text without the places of copies: the caller knows a folder by the name of the argument."""
    return _PLACE.sub("", text)
