"""The promises of the history: no line is torn or lost, what is no history is named, and the report draws the drift."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gt_judge import artifact as artifacts
from gt_judge.compare import history
from gt_judge.compare.compare import Against, compare
from gt_judge.compare.history import Entry, History
from gt_judge.compare.report import page, trend
from gt_judge.compare.result import CaseResult
from gt_judge.errors import JudgeError
from gt_judge.published import Published
from tests.support import pictures
from tests.support.pictures import added, scene

ONE = "one_1gpu.png"
START = datetime(2026, 3, 1, tzinfo=UTC)


def entry(day: int = 0, **changes: Any) -> Entry:
    known = {
        "version": 1,
        "date": START + timedelta(days=day),
        "run": None,
        "case": "one",
        "file": ONE,
        "gpu": "h100",
        "engine_gpu": None,
        "published": None,
        "engine": {"ssim": 0.99 - day / 100, "psnr": 40.0 - day, "mean_abs_diff": day / 2},
    }
    return Entry.model_validate(known | changes)


def grown(folder: Path, sigmas: Sequence[float]) -> tuple[Path, list[Entry]]:
    """A history of an engine that gets worse, in a file; and the report of the last comparison."""
    new = pictures.artifact(folder / "new", {ONE: scene(1)})
    published = pictures.write(folder / "published", {ONE: scene(1)})
    known: list[Entry] = []
    for day, sigma in enumerate(sigmas):
        engine = pictures.write(folder / f"engine{day}", {ONE: added(sigma)(scene(1))})
        found = compare(artifacts.read(new), Against(Published(published), engine))
        known = History(folder / "history.jsonl").grow(history.entries(found, START + timedelta(days=day), None))
        page.write(found, folder / "report.html", known)
    return folder / "report.html", known


def test_every_comparison_appends_a_line_with_date_run_case_and_the_measures_of_both(tmp_path: Path) -> None:
    _, known = grown(tmp_path, [1, 4])
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [Entry.model_validate(line) for line in lines] == known
    assert [line["date"] for line in lines] == ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]
    started = json.loads((tmp_path / "new" / "manifest.json").read_text())["run"]["started"]
    assert {(line["run"], line["case"], line["file"], line["gpu"]) for line in lines} == {(started, "one", ONE, "h100")}
    assert lines[0]["published"] == {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}
    assert lines[0]["engine"]["ssim"] > lines[1]["engine"]["ssim"]
    assert lines[0]["engine"]["mean_abs_diff"] < lines[1]["engine"]["mean_abs_diff"]


def test_the_report_draws_a_drift_that_no_threshold_has_seen_yet(tmp_path: Path) -> None:
    report, known = grown(tmp_path, [0.5, 1, 1.5])
    text = report.read_text()
    assert "The last 3 of 3 comparisons, 2026-03-01 to 2026-03-03" in text
    for title in ("SSIM", "PSNR", "mean abs diff"):
        assert f"<figcaption>{title}</figcaption>" in text
    first, last = (each.engine["ssim"] for each in (known[0], known[-1]) if each.engine)
    assert f"engine: {first:.4g} on 2026-03-01, {last:.4g} on 2026-03-03, threshold 0.95" in text
    assert 'class="badge passed"' in text


def test_a_first_comparison_has_no_trend(tmp_path: Path) -> None:
    report, _ = grown(tmp_path, [1])
    assert "<figcaption>" in report.read_text()
    assert 'class="trend"' not in report.read_text()


def test_lines_stand_in_the_order_of_dates_and_the_axis_holds_values_and_threshold(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    History(path).grow([entry(2), entry(0)])
    known = History(path).grow([entry(1)])
    assert [each.date for each in known] == [START + timedelta(days=day) for day in range(3)]
    drawn = trend.draw(known, CaseResult("one"), {"ssim": "SSIM"})
    assert drawn is not None
    (chart,) = drawn.charts
    assert (chart.top, chart.bottom) == ("0.99", "0.97")
    places = [tuple(map(float, point.split(","))) for point in chart.lines[0].points.split()]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == [trend.PAD, trend.HEIGHT / 2, trend.HEIGHT - trend.PAD]


def test_another_gpu_kind_is_another_line_and_an_infinite_psnr_is_at_the_top(tmp_path: Path) -> None:
    same = {"ssim": 1.0, "psnr": None, "mean_abs_diff": 0.0}
    known = [entry(0), entry(1, gpu="h200"), entry(2, engine=same), entry(3, engine_gpu="b200"), entry(4)]
    series = history.by_series(known)
    assert [len(entries) for entries in series.values()] == [4, 1]
    drawn = trend.draw(series[ONE, "h100"], CaseResult("one"), {"psnr": "PSNR"})
    assert drawn is not None
    (line,) = drawn.charts[0].lines
    assert len(line.points.split()) == 3  # not what the engine made on another platform
    assert line.points.split()[1].endswith(f",{float(trend.PAD)}")
    assert drawn.charts[0].top == "∞"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}\n", "line 1: version: Field required"),
        (b'{"some": "log"}\n', "is no history of comparisons: line 1"),
        (b"\x89PNG\r\n\x1a\n\x00", "line 1: Invalid JSON"),
        (b'\xff\xfe{"a"', "line 1: Invalid JSON"),
        (f"{entry().model_dump_json()}\n{entry().model_dump_json()[:40]}".encode(), "line 2: Invalid JSON"),
        (entry().model_dump_json().replace('"version":1', '"version":2').encode(), "line 1: version"),
        (entry().model_dump_json().replace("0.99", "NaN").encode(), "line 1: "),
    ],
)
def test_a_damaged_or_foreign_file_is_named_by_its_line_and_left_as_it_is(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(content)
    with pytest.raises(JudgeError) as raised:
        History(path)
    assert words in str(raised.value)
    assert str(raised.value).endswith("take the line out, or name another file with --history")
    assert path.read_bytes() == content


def test_what_is_no_file_or_cannot_be_written_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for name in ("pipe", ".", "file/history.jsonl"):
        with pytest.raises(JudgeError, match="name another"):
            History(tmp_path / name)


def test_a_last_line_without_its_end_is_not_glued_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(entry(0).model_dump_json())
    assert len(History(path).grow([entry(1)])) == 2
    assert len(History(path).grow([])) == 2


def test_appends_at_the_same_time_tear_no_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda day: History(path).grow([entry(day)] * 30), range(40)))
    days = [json.loads(line)["date"] for line in path.read_text().splitlines()]
    assert len(days) == 40 * 30
    assert all(len(set(days[start : start + 30])) == 1 for start in range(0, len(days), 30))


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A file that takes ten bytes more."""

        def __init__(self) -> None:
            self.content = b"x\n"

        def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
            return len(self.content) if whence == os.SEEK_END else place

        def read(self, size: int) -> bytes:
            return self.content[-size:]

        def write(self, data: bytes) -> int:
            self.content += data[:10]
            return min(10, len(data))

        def truncate(self, size: int) -> None:
            self.content = self.content[:size]

    file: Any = Full()
    with pytest.raises(OSError, match="No space left"):
        history._append(file, b"a" * 20 + b"\n")
    assert file.content == b"x\n"
