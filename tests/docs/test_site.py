"""The site is built of the pages as they are, strictly: a link that leads nowhere ends the build."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.pages import DOCS, README

BUILD = Path("docs", "site", "build.py")


@pytest.fixture(scope="module", autouse=True)
def _builder() -> None:
    """The builder's own environment, of what its script names. It is no dependency of ours, so it may be absent."""
    command = ["uv", "sync", "--quiet", "--script", str(ROOT / BUILD)]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("uv, which installs the site's builder, is not here")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the site's builder cannot be installed here: {error.stderr.strip()}")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = ["uv", "run", "--quiet", "--script", str(root / BUILD), str(site)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def content(page: Path) -> str:
    """The text of a built page, without markup."""
    article = page.read_text().partition("<article")[2].partition("</article>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", article)).split())


def test_the_start_page_is_the_readme_with_its_picture(site: Path) -> None:
    index = (site / "index.html").read_text()
    [picture] = re.findall(r'<img[^>]*src="([^"]*smoke[^"]*)"', index)
    assert (site / picture).stat().st_size > 1_000
    assert README.read_text().splitlines()[2] in content(site / "index.html")


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    index = (site / "index.html").read_text()
    for path in DOCS.rglob("*.md"):
        name = path.relative_to(DOCS).with_suffix("").as_posix()
        place = "contents" if name == "README" else name
        assert (site / place / "index.html").is_file(), place
        assert f'href="./{place}/"' in index, place


def test_the_words_of_a_page_are_found_by_the_search(site: Path) -> None:
    entries = json.loads((site / "search.json").read_text())
    text = json.dumps(entries)
    assert all(word in text for word in ("noise floor", "--older-than", "serving_thresholds.yaml"))


def test_a_file_of_the_repository_is_linked_to_where_it_lies(site: Path) -> None:
    page = (site / "judge" / "check-and-compare" / "index.html").read_text()
    assert '/blob/main/containers/runner/gt_judge/check/gate.yaml"' in page
    assert not re.findall(r'href="[^"]*\.md[#"]', re.sub(r'href="https://[^"]*"', "", page))


@pytest.mark.parametrize("broken", ["[here](nowhere.md)", "[here](../judge/reproduce.md#nothing)"])
def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path, broken: str) -> None:
    for name in ("docs", "bench/figures"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for path in [*ROOT.glob("*.md"), ROOT / "bench" / "README.md"]:
        shutil.copyfile(path, tmp_path / path.relative_to(ROOT))
    page = tmp_path / "docs" / "run" / "options.md"
    page.write_text(f"{page.read_text()}\n{broken}\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "options.md" in done.stdout + done.stderr
