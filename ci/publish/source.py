"""What GT was made from, and the branch of the data repository that it goes to.

A consumer pins a commit of that repository's main branch, and later moves the pin on. So main gets only what every
consumer may pick up: GT that was made from main. What was made from another ref goes to a branch of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..artifact.manifest import Manifest
from ..errors import PublishError
from .batch import Batch

MAIN, ISOLATED, PREFIX = "main", "isolated", "gt/"  # upstream's words, in its ci_data_branch.py
_PINNED = re.compile(r"v?\d+(\.\d+)*|[0-9a-f]{7,40}")  # a release of this tool, or a commit of it: no branch


@dataclass(frozen=True)
class CiRun:
    """The CI run that publishes, as far as it is known."""

    address: str = ""
    ref: str = ""
    sha: str = ""
    triggered_by: str = ""


@dataclass(frozen=True)
class Source:
    """A ref and its commit; empty where not known."""

    ref: str = ""
    sha: str = ""

    @property
    def branch(self) -> str:
        """The ref without what a branch's full name begins with."""
        return self.ref.strip().removeprefix("refs/heads/")

    @property
    def is_other(self) -> bool:
        """Whether this is known not to be main."""
        return self.branch not in ("", MAIN)


def source_of(batch: Batch, run: CiRun) -> Source:
    """What the cases were made from: the first source that is not main, else the first that is known."""
    sources = [each for each in _sources(batch, run) if each.ref or each.sha]
    return next((each for each in sources if each.is_other), next(iter(sources), Source()))


def branch_for(choice: str, source: Source) -> str:
    """The branch that a caller chose, else that of the source; empty: the default branch.

    Raises PublishError where `isolated` is chosen and no ref other than main is known.
    """
    if choice != ISOLATED and (choice or not source.is_other):
        return choice
    if not source.is_other:
        origin = "this GT was made from main" if source.branch else "it is not known which ref this GT was made from"
        raise PublishError(f"--branch {ISOLATED} is for GT of another ref than main, and {origin}; name a branch")
    return PREFIX + _name(source.branch)


def _sources(batch: Batch, run: CiRun) -> Iterator[Source]:
    manifest = batch.manifest
    tool = manifest.run.tool
    engine_ref = manifest.run.selection.engine_ref
    if engine_ref:
        yield Source(engine_ref, ", ".join(sorted(_commits(manifest, batch.cases))))
    yield Source(run.ref, run.sha)
    version = (tool.ref or "").rpartition("@")[2]
    yield Source("" if _PINNED.fullmatch(version) else version, tool.commit or "")


def _commits(manifest: Manifest, cases: set[str]) -> set[str]:
    """The commits of the serving engine that made these cases."""
    codes = (manifest.cases[name].code for name in cases)
    return {code.commit for code in codes if code is not None and code.commit}


def _name(ref: str) -> str:
    """A ref as part of a branch's name, in the characters that upstream allows, and as git takes it."""
    words = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._/-]+", "-", ref.removeprefix("refs/")))
    parts = [re.sub(r"([.-]|\.lock)+$", "", part.lstrip(".-")) for part in words.split("/")]
    name = "/".join(filter(None, parts))
    if not name:
        raise PublishError(f"no branch can be named after the ref {ref!r}; name one with --branch")
    return name
