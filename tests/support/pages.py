"""Our pages: which there are, their fenced blocks, and the commands in these."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.conftest import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md")), ROOT / "bench" / "README.md"]
PAGES += [ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "SECURITY", "CHANGELOG")]
SHELLS = ("console", "sh", "shell", "bash")
PREFIXES = (["uv", "run", "--no-dev"], ["uv", "run", "python", "-m"], ["uv", "run"])


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What a reader types, a line for each command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip()]


def blocks(*languages: str, page: Path | None = None) -> Iterator[Block]:
    """The blocks in these languages, of one page or of all."""
    for each in [page] if page else PAGES:
        for language, text in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", each.read_text(), re.MULTILINE | re.DOTALL):
            if language in languages:
                yield Block(each, language, text)


def words(command: str) -> list[str]:
    """A command's words: without comment, variables before it, placeholders and what else it is joined with."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        parts = list(lexer)
    except ValueError:  # a quoted script that goes on in the next line
        return []
    end = next((number for number, word in enumerate(parts) if set(word) <= set("|&;()<>")), len(parts))
    parts = [word for before, word in pairwise(["", *parts[:end]]) if word != "…" or before.startswith("--")]
    while parts and re.match(r"[A-Z_][A-Z0-9_]*=", parts[0]):
        parts.pop(0)
    for prefix in PREFIXES:
        if parts[: len(prefix)] == prefix:
            return parts[len(prefix) :]
    return parts


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of a program on our pages, as it stands and in words."""
    for block in blocks(*SHELLS):
        for command in block.commands:
            parts = words(command)
            if parts and parts[0] == program:
                yield f"{block.page.relative_to(ROOT)}: {command.strip()}", parts[1:]
