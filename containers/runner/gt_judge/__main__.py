"""The judge's command line, for programs.

    python -m gt_judge check SPEC.json RESULT.json     the quality gate; RESULT.json holds every number
    python -m gt_judge compare SPEC.json FOLDER        compare.json, junit.xml and report.html in the folder
    python -m gt_judge diverge SPEC.json FOLDER        diverge.json, diverge.txt and a picture of each case

SPEC.json holds a `Spec`. The exit status is 0 whatever was measured, 2 with one message where nothing could be judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from . import artifact as artifacts
from .artifact import Artifact
from .compare import thresholds
from .errors import JudgeError
from .published import Published
from .text import printable

if TYPE_CHECKING:
    from .diverge.result import Divergence


class Spec(TypedDict, total=False):
    """What is judged, by paths of this machine."""

    artifact: str
    images_only: bool  # the artifact has no manifest
    published: str | None
    gpu_folders: dict[str, str]  # of published GT: those that are not named as their GPU kind
    engine: str | None  # a serving engine's output
    engine_gpu: str | None  # the GPU kind that it was made on, where no manifest beside it says so
    models: str | None  # weights of the learned measures
    noise_floor: str | None  # a file to use instead of ours
    history: str | None  # a file that the measures are appended to
    date: str  # of the comparison, in the history
    names: dict[str, str]  # how artifact, published and engine are called in the report
    reference: str | None  # a trace; of a comparison of images, beside which it is shown
    other: str | None  # the trace that is compared with it
    exact: bool  # every bit of a trace counts
    dtype: str | None  # that both traces are taken to have computed in
    cases: list[str]  # of the traces; all that both have, where there are none


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="gt_judge", description=__doc__)
    parser.add_argument("command", choices=["check", "compare", "diverge"])
    parser.add_argument("spec", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    spec: Spec = json.loads(arguments.spec.read_text(encoding="utf-8"))
    try:
        {"check": _check, "compare": _compare, "diverge": _diverge}[arguments.command](spec, arguments.out)
    except (JudgeError, RecursionError) as error:  # the latter for values that are nested without end
        print(printable(str(error)), file=sys.stderr)  # noqa: T201  # the message is the output
        return 2
    return 0


def _check(spec: Spec, out: Path) -> None:
    from .check.check import check  # noqa: PLC0415  # each command imports what it needs and no more

    published = _published(spec)
    _write(check(_artifact(spec), published), out)


def _published(spec: Spec) -> Published | None:
    folder = _path(spec.get("published"))
    return None if folder is None else Published(folder, spec.get("gpu_folders"))


def _artifact(spec: Spec) -> Artifact:
    return artifacts.read(Path(spec["artifact"]), images_only=spec.get("images_only", False))


def _compare(spec: Spec, out: Path) -> None:
    from .compare import history as histories  # noqa: PLC0415
    from .compare.compare import Against, compare  # noqa: PLC0415
    from .compare.learned import Learned  # noqa: PLC0415
    from .compare.report import junit, page  # noqa: PLC0415

    published, artifact = _published(spec), _artifact(spec)
    serving, models, floor = (_path(spec.get(what)) for what in ("engine", "models", "noise_floor"))
    if serving is not None and not serving.is_dir():
        raise JudgeError(f"{serving} is no directory of an engine's output")
    against = Against(
        published=published,
        serving=serving,
        serving_kind=spec.get("engine_gpu"),
        learned=Learned(models),
        floors=thresholds.noise_floors(floor or thresholds.NOISE_FLOOR),
        names=spec.get("names", {}),
    )
    _prepare(out, "compare.json")
    path = _path(spec.get("history"))
    history = None if path is None else histories.History(path)
    traces = _divergence(spec) if spec.get("reference") else None
    comparison = compare(artifact, against, traces)
    _write(comparison.as_json(), out / "compare.json")
    junit.write(comparison, out / "junit.xml")
    entries: list[histories.Entry] = []
    if history is not None:
        date = datetime.fromisoformat(spec["date"])
        entries = history.grow(histories.entries(comparison, date, spec.get("engine_gpu")))
    page.write(comparison, out / "report.html", entries)


def _diverge(spec: Spec, out: Path) -> None:
    from .diverge import picture, words  # noqa: PLC0415

    _prepare(out, "diverge.json")
    divergence = _divergence(spec)
    for case in divergence.cases:
        (out / f"{case.name}.svg").write_text(picture.draw(case), encoding="utf-8")
    (out / "diverge.txt").write_text(words.text(divergence), encoding="utf-8")
    _write(divergence.as_json(), out / "diverge.json")


def _divergence(spec: Spec) -> Divergence:
    from .diverge import trace  # noqa: PLC0415
    from .diverge.diverge import diverge  # noqa: PLC0415
    from .diverge.dtypes import long  # noqa: PLC0415
    from .diverge.walk import Options  # noqa: PLC0415

    reference, other = (trace.read(Path(spec[side] or "")) for side in ("reference", "other"))
    dtype = spec.get("dtype")
    options = Options(exact=spec.get("exact", False), dtype=long(dtype) if dtype else None)
    return diverge(reference, other, options, spec.get("cases", []))


def _prepare(out: Path, name: str) -> None:
    """Make the folder and what will be the result, before anything is measured. Raises JudgeError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / name).touch()
    except OSError as error:
        raise JudgeError(f"{out} cannot be written: {error.strerror}; choose another folder with -o") from None


def _path(name: Any) -> Path | None:
    return Path(name) if name else None


def _write(result: Any, path: Path) -> None:
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")  # half of a pair is written as JSON escapes it


if __name__ == "__main__":
    sys.exit(main())
