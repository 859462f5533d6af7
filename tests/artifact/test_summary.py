"""The summary of an artifact: a row for each case, what failed first, and what a log says is nothing but text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ci.artifact import folder
from ci.artifact.manifest import Manifest
from ci.artifact.summary import COLUMNS, MOST_CASES, MOST_WORDS, texts
from ci.errors import ArtifactError
from tests.conftest import Gt
from tests.support.records import manifest, results

URL = "https://github.com/o/r/actions/runs/1/artifacts/2"


def cells(text: str) -> list[list[list[Token]]]:
    """The table's rows as GitHub's Markdown reads them: what stands in each cell."""
    found: list[list[list[Token]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            found.append([])
        elif token.type == "inline" and token.level >= 4:
            found[-1].append(token.children or [])
    return found


def words(cell: list[Token]) -> str:
    return "".join(token.content for token in cell if token.type in ("text", "text_special"))


def failing(reason: str) -> Manifest:
    told = manifest({"good": "ok", "bad": "failed"})
    bad = told.cases["bad"].model_copy(update={"reason": reason})
    return told.model_copy(update={"cases": {**told.cases, "bad": bad}})


def test_every_case_has_a_row_and_what_failed_comes_first() -> None:
    told = manifest({"good": "ok", "bad": "failed", "other": "skipped"})
    gone = told.run.selection.model_copy(update={"case_ids": ["good", "bad", "gone"]})
    told = told.model_copy(update={"run": told.run.model_copy(update={"selection": gone})})
    files = texts(told, [])
    assert files["counts.env"] == "case_count=4\nfailed_count=3\n"
    assert files["summary.md"].startswith("### Ground truth: 1 of 4 cases\n")
    head, *rows = [[words(cell) for cell in row] for row in cells(files["summary.md"])]
    assert head == list(COLUMNS)
    assert [row[:2] for row in rows] == [
        ["bad", "❌ failed: broken on purpose"],
        ["gone", "❌ missing: it was selected, and the manifest does not hold it"],
        ["other", "❌ skipped: broken on purpose"],
        ["good", "✅ ok, made before"],
    ]
    assert rows[-1][-1] == "good_1gpu.png"


def test_a_case_that_did_not_come_out_the_same_twice_counts_as_failed() -> None:
    told = manifest({"good": "ok"})
    unlike = told.cases["good"].model_copy(update={"reproducible": False})
    files = texts(told.model_copy(update={"cases": {"good": unlike}}), [])
    assert files["counts.env"] == "case_count=1\nfailed_count=1\n"
    assert "did not come out the same" in files["summary.md"]


HOSTILE = ["![x](https://e)", "<img src=x>", "a | b", "`x`", "[x](javascript:x)", "a\n\n# b", "&lt;", "\\|", "$x$ @o"]


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1) | st.sampled_from(HOSTILE))
def test_what_a_log_says_is_text_and_nothing_else(reason: str) -> None:
    row = cells(texts(failing(f"x{reason}"), [])["summary.md"])[1]
    assert len(row) == len(COLUMNS)
    assert {token.type for token in row[1]} <= {"text", "text_special"}
    assert words(row[1]) == "❌ " + " ".join(f"failed: x{reason}"[:MOST_WORDS].split())


def test_pictures_link_to_the_artifact_and_to_nothing_else() -> None:
    def links(tokens: list[Token]) -> Iterator[object]:
        for token in tokens:
            yield from [token.attrs["href"]] if token.type == "link_open" else links(token.children or [])

    text = texts(manifest({"good": "ok"}), [], f"{URL}?a=(b)")["summary.md"]
    assert set(links(MarkdownIt("commonmark").enable("table").parse(text))) == {f"{URL}?a=%28b%29"}
    assert "](" not in texts(manifest({"good": "ok"}), [])["summary.md"]
    with pytest.raises(ArtifactError, match="no address of an artifact"):
        texts(manifest({"good": "ok"}), [], "javascript:alert(1)")


def test_many_cases_stay_below_what_github_shows() -> None:
    told = manifest({f"a_rather_long_name_of_a_case_{number:05}": "ok" for number in range(5 * MOST_CASES)})
    text = texts(told, [], URL)["summary.md"]
    assert len(text.encode()) < 1 << 20
    assert text.endswith(f"\nand {4 * MOST_CASES} more in manifest.json\n")


def test_gt_summary_prints_the_table_or_writes_the_files(gt: Gt, tmp_path: Path) -> None:
    told = manifest({"good": "ok", "bad": "failed"})
    folder.write(tmp_path / "gt", told, results(tmp_path / "results", "good"))
    printed = gt("summary", "--artifact-url", URL)
    assert (printed.returncode, printed.stdout) == (0, texts(told, [], URL)["summary.md"])
    assert gt("summary", "-o", "told").returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "told").iterdir()} == texts(
        told, ["bad: failed: broken on purpose"]
    )
    (tmp_path / "gt" / "good_1gpu.png").unlink()
    assert gt("summary", "-o", "told").returncode == 0
    assert (tmp_path / "told" / "problems.txt").read_text().splitlines()[1:] == [
        "good_1gpu.png: missing: the manifest names it"
    ]
    missing = gt("summary", "--artifact", "nowhere")
    assert missing.returncode == 2
    assert "holds no manifest.json" in missing.stderr
