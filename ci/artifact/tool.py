"""Names the diffusion-gt that runs: its version, and where its code is from."""

from __future__ import annotations

import importlib.metadata
import subprocess

from .. import ROOT
from .records import Tool


def of_checkout() -> Tool:
    """The diffusion-gt of this checkout; what is not known, as where there is no checkout, is None.

    A commit between two releases is named by the tag before it, as 1.2.0-3-g0123abc. Where there is no tag, the version
    is the package's.
    """
    commit = _git("rev-parse", "HEAD")
    tag = _git("describe", "--tags", "--match", "v[0-9]*.[0-9]*.[0-9]*")  # v1, which moves, is no version
    changes = _git("status", "--porcelain")
    name = tag.removeprefix("v") if tag else version()
    return Tool(version=name, commit=commit or None, dirty=None if not commit or changes is None else bool(changes))


def of_module(source: str) -> Tool:
    """The diffusion-gt of a Dagger module, by the digest that Dagger has of its source: it tells no ref and commit."""
    return Tool(version=version(), commit=None, dirty=None, source=source)


def version() -> str:
    """The version of the package."""
    return importlib.metadata.version("diffusion-gt")


def _git(*arguments: str) -> str | None:
    """What git answers; None where it does not."""
    if not (ROOT / ".git").exists():
        return None
    try:
        answer = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
