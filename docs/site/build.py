# /// script
# requires-python = ">=3.11"
# dependencies = ["zensical==0.0.73"]
# ///
"""Builds the site of our pages, strictly: a link or heading that is not there ends it with an error.

    uv run --script docs/site/build.py FOLDER

The pages are those that GitHub shows. They are copied into a temporary folder, where links to other files of the
repository become links to GitHub; docs/README.md gives the navigation. The builder is no dependency of anything else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "https://github.com/OWNER/diffusion-gt/blob/main"
INDEX = PurePosixPath("docs/README.md")
PROJECT = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/README.md")
IMAGES = (".png", ".jpg", ".svg")
LINK = re.compile(r"(?P<before>\]\()(?P<target>(?!https?://|mailto:)[^)\s#]+)(?P<anchor>#[^)\s]*)?(?P<after>\))")
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Build the site into the folder that the command line names."""
    output = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="gt-site-") as folder:
        pages = stage(Path(folder) / "pages")
        config = Path(folder) / "mkdocs.yml"
        config.write_text(settings(pages), encoding="utf-8")
        build = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--clean", "-f", str(config)]
        status = subprocess.run(build, cwd=folder, check=False).returncode
        if status == 0:
            shutil.copytree(Path(folder) / "site", output, dirs_exist_ok=True)
        return status


def stage(folder: Path) -> dict[PurePosixPath, PurePosixPath]:
    """Write all pages and pictures into a folder; gives the place of each page in it by its place in the repository."""
    pages = places()
    for source, place in pages.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        relink = partial(_link, source=source, place=place, pages=pages, folder=folder)
        parts = FENCE.split(text)  # code is every second one
        parts[::2] = [LINK.sub(relink, part) for part in parts[::2]]
        _write(folder / place, "".join(parts).encode())
    return pages


def places() -> dict[PurePosixPath, PurePosixPath]:
    """Where each page lies in the site, by its place in the repository. The start page is README.md."""
    pages = {PurePosixPath("README.md"): PurePosixPath("index.md"), INDEX: PurePosixPath("contents.md")}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        source = PurePosixPath(path.relative_to(ROOT).as_posix())
        pages.setdefault(source, source.relative_to("docs"))
    for name in PROJECT:
        slug = name.removesuffix("/README.md").removesuffix(".md").lower()
        pages[PurePosixPath(name)] = PurePosixPath("project", f"{slug}.md")
    return pages


def _link(
    link: re.Match[str],
    source: PurePosixPath,
    place: PurePosixPath,
    pages: dict[PurePosixPath, PurePosixPath],
    folder: Path,
) -> str:
    """A link of a page as it leads from the page's place in the site."""
    target = PurePosixPath(os.path.normpath(source.parent / link["target"]))
    if target in pages:
        there = os.path.relpath(pages[target], place.parent)
    elif target.suffix in IMAGES and (ROOT / target).is_file():
        there = os.path.relpath(PurePosixPath("files", target), place.parent)
        _write(folder / "files" / target, (ROOT / target).read_bytes())
    elif (ROOT / target).exists():
        there = f"{SOURCE}/{target}"
    else:
        return link[0]  # the strict build names it
    return f"{link['before']}{there}{link['anchor'] or ''}{link['after']}"


def settings(pages: dict[PurePosixPath, PurePosixPath]) -> str:
    """Our settings, and the navigation in the order of docs/README.md."""
    sections: dict[str, list[str]] = {}
    for line in (ROOT / INDEX).read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\*\*(.+)\*\*", line):
            sections[heading[1]] = []
        elif page := re.match(r"- \[[^\]]+\]\(([^)]+)\)", line):
            sections[list(sections)[-1]].append(page[1])
    project = [str(pages[PurePosixPath(name)]) for name in PROJECT]
    navigation: list[Any] = [{"Start page": "index.md"}, {"All pages": "contents.md"}]
    navigation += [{name: entries} for name, entries in {**sections, "Project": project}.items()]
    added = {"docs_dir": "pages", "site_dir": "site", "nav": navigation}
    text = (ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    return text + "".join(f"{name}: {json.dumps(value)}\n" for name, value in added.items())  # JSON is YAML


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
