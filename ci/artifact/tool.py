"""Names the diffusion-gt that runs: its version, and the commit of its checkout."""

from __future__ import annotations

import importlib.metadata
import subprocess

from .. import ROOT
from .records import Tool


def tool() -> Tool:
    """This diffusion-gt.

    A commit between two releases is named by the tag before it, as 1.2.0-3-g0123abc. Where there is no tag, as in the
    module's container, the version is the package's.
    """
    commit = _git("rev-parse", "HEAD")
    tagged = _git("describe", "--tags", "--match", "v[0-9]*.[0-9]*.[0-9]*")  # v1, which moves, is no version
    return Tool(
        version=tagged.removeprefix("v") or importlib.metadata.version("diffusion-gt"),
        commit=commit or None,
        dirty=bool(commit and _git("status", "--porcelain")),
    )


def _git(*arguments: str) -> str:
    if not (ROOT / ".git").exists():
        return ""
    try:
        answer = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
