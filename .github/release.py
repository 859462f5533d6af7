"""Prints a release's section of CHANGELOG.md, if tag, package and changelog agree: `release.py v1.2.3`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\] - (?P<date>.+)$", re.MULTILINE)
VERSION = re.compile(r"v\d+\.\d+\.\d+")


class ReleaseError(Exception):
    """What does not agree, and what to do about it."""


def notes(tag: str, root: Path = ROOT) -> str:
    """The tag's section of the changelog, which is the release's text.

    Raises ReleaseError where the tag is no version, or is not that of pyproject.toml and the newest in CHANGELOG.md.
    """
    if not VERSION.fullmatch(tag):
        raise ReleaseError(f"{tag!r} is not the tag of a release; write v1.2.3")
    version = tag[1:]
    package = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if version != package:
        raise ReleaseError(f"the tag is {tag}, pyproject.toml has version {package}; `uv version {version}` sets it")
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = list(HEADING.finditer(text))
    if not headings:
        raise ReleaseError("CHANGELOG.md has no version; its heading is `## [1.2.3] - 2026-01-31`")
    newest, *older = headings
    if newest["version"] != version:
        raise ReleaseError(f"the newest version in CHANGELOG.md is {newest['version']}, the tag is {tag}")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", newest["date"]):
        raise ReleaseError(f"{version} in CHANGELOG.md is {newest['date']}; write the date of the release")
    links = re.search(r"^\[[^\]]+\]: ", text, re.MULTILINE)
    ends = [end.start() for end in (*older[:1], links) if end]
    return text[newest.end() : min(ends, default=len(text))].strip() + "\n"


if __name__ == "__main__":
    try:
        print(notes(sys.argv[1]), end="")
    except ReleaseError as error:
        sys.exit(f"release: {error}")
