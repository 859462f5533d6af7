"""A comparison as one HTML file that needs nothing else: no network, no other file, no server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...diverge import picture, words
from ...diverge.result import CaseResult as TracedCase
from ...templates import template
from ..history import Entry, Series, by_series, series_of
from ..result import CaseResult, Comparison, FileResult, Grade, Measurement
from ..thresholds import LOWER_IS_BETTER
from . import trend
from .views import AMPLIFIED, Views, render

TEMPLATE = Path(__file__).with_name("report.html.j2")
TITLES = {
    "new": "new",
    "published": "published",
    "engine": "engine",
    "published_map": "new to published",
    "engine_map": "engine to new",
}
MEASURES = {
    "ssim": "SSIM",
    "psnr": "PSNR",
    "mean_abs_diff": "mean abs diff",
    "alpha_diff": "alpha diff",
    "clip": "CLIP",
    "lpips": "LPIPS",
}
UNITS = {"psnr": " dB"}


def write(comparison: Comparison, path: Path, history: Sequence[Entry] = ()) -> None:
    """Write the file. `history`: what all comparisons so far measured, this one too."""
    files = [file for case in comparison.cases for file in case.files]
    images: dict[str, str] = {}
    series = by_series(history)
    figures = {file.pair.name: _figures(views, images) for file, views in zip(files, render(files), strict=True)}
    stream = template(TEMPLATE).stream(
        comparison=comparison,
        cards=[_card(case, rank, figures, series) for rank, case in enumerate(comparison.cases)],
        images=images.items(),
        without_floor=sum(case.grade == Grade.CHANGED and case.floor is None for case in comparison.cases),
        amplified=256 // AMPLIFIED,
    )
    stream.enable_buffering(64)
    stream.dump(str(path), encoding="utf-8")


def _figures(views: Views, images: dict[str, str]) -> list[dict[str, Any]]:
    """The views of a file in the order that they are shown in; their data goes into `images`, by number."""
    figures = []
    for role, title in TITLES.items():
        view = views.get(role)
        if view is not None:
            number = f"i{len(images)}"
            images[number] = base64.b64encode(view.data).decode()
            figures.append({"role": role, "title": title, "image": number, "width": view.width, "height": view.height})
    return figures


def _card(
    case: CaseResult, rank: int, figures: dict[str, list[dict[str, Any]]], series: dict[Series, list[Entry]]
) -> dict[str, Any]:
    changes = case.changes or {"arguments": [], "environment": []}
    return {
        "case": case,
        "rank": rank,
        "files": [
            {
                "result": file,
                "figures": figures[file.pair.name],
                "rows": list(_rows(file, case)),
                "notes": _notes(file),
                "trend": trend.draw(series.get(series_of(file), []), case, MEASURES),
            }
            for file in case.files
        ],
        "changes": {what: [_change(change) for change in part] for what, part in changes.items()},
        "traced": case.traced and _traced(case.traced),
    }


def _traced(case: TracedCase) -> dict[str, Any]:
    """Where two traces first differ: the sentence, the picture, the table."""
    return {
        "result": case,
        "picture": Markup(picture.draw(case)),  # noqa: S704  # its template escapes what it is given
        "headings": words.HEADINGS,
        "rows": list(words.rows(case)),
    }


def _change(change: dict[str, Any]) -> dict[str, str]:
    return {name: value if name == "key" else json.dumps(value, ensure_ascii=False) for name, value in change.items()}


def _notes(file: FileResult) -> list[str]:
    notes = list(file.pair.notes)
    if file.pair.renamed_from:
        notes.append(f"published as {file.pair.renamed_from}")
    for what, measurement in (("published", file.gt), ("engine", file.serving)):
        if measurement is not None and measurement.error:
            notes.append(f"{what}: not comparable: {measurement.error}")
        if measurement is not None and measurement.identical:
            notes.append(f"{what}: identical in {measurement.identical}")
    return notes


def _rows(file: FileResult, case: CaseResult) -> Iterator[dict[str, Any]]:
    """One row a measure: the value against published GT, and the serving engine's with the limit that it must keep."""
    limits = case.thresholds.bounds() if case.thresholds else {}
    failures = {text.split(" ", 1)[0] for text in file.failed}
    for name, title in MEASURES.items():
        values = [_value(measurement, name) for measurement in (file.gt, file.serving)]
        if any(values):
            sign = "≤" if name in LOWER_IS_BETTER else "≥"
            limit = f"{sign} {limits[name]:g}" if name in limits and values[1] else ""
            yield {"title": title, "gt": values[0], "engine": values[1], "limit": limit, "missed": name in failures}


def _value(measurement: Measurement | None, name: str) -> str:
    if measurement is None or measurement.error or name not in measurement.values:
        return ""
    value = measurement.values[name]
    return "∞" if value is None else f"{value:.4g}{UNITS.get(name, '')}"
