"""Pages and pictures are rendered from templates in one way: nothing undefined, and nothing shown as it came."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from .text import printable


def template(path: Path) -> Template:
    """The template in a file. What it shows is escaped, and text is made printable."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)
