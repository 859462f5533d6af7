"""The judge's command line, for programs.

    python -m gt_judge check SPEC.json RESULT.json     the quality gate; RESULT.json holds every number
    python -m gt_judge compare SPEC.json FOLDER        compare.json, junit.xml and report.html in the folder

SPEC.json holds a `Spec`. The exit status is 0 whatever was measured, 2 with one message where nothing could be judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, TypedDict

from . import artifact as artifacts
from .artifact import Artifact
from .compare import thresholds
from .errors import JudgeError
from .published import Published
from .text import printable


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
    names: dict[str, str]  # how artifact, published and engine are called in the report


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="gt_judge", description=__doc__)
    parser.add_argument("command", choices=["check", "compare"])
    parser.add_argument("spec", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    spec: Spec = json.loads(arguments.spec.read_text(encoding="utf-8"))
    try:
        folder = spec.get("published")
        published = Published(Path(folder), spec.get("gpu_folders")) if folder else None
        artifact = artifacts.read(Path(spec["artifact"]), images_only=spec.get("images_only", False))
        judge = _check if arguments.command == "check" else _compare
        judge(spec, artifact, published, arguments.out)
    except (JudgeError, RecursionError) as error:  # the latter for values that are nested without end
        print(printable(str(error)), file=sys.stderr)  # noqa: T201  # the message is the output
        return 2
    return 0


def _check(_: Spec, artifact: Artifact, published: Published | None, out: Path) -> None:
    from .check.check import check  # noqa: PLC0415  # each command imports what it needs and no more

    _write(check(artifact, published), out)


def _compare(spec: Spec, artifact: Artifact, published: Published | None, out: Path) -> None:
    from .compare.compare import Against, compare  # noqa: PLC0415
    from .compare.learned import Learned  # noqa: PLC0415
    from .compare.report import junit, page  # noqa: PLC0415

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
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "compare.json").touch()  # before anything is measured
    except OSError as error:
        raise JudgeError(f"{out} cannot be written: {error.strerror}; choose another folder with -o") from None
    comparison = compare(artifact, against)
    _write(comparison.as_json(), out / "compare.json")
    junit.write(comparison, out / "junit.xml")
    page.write(comparison, out / "report.html")


def _path(name: Any) -> Path | None:
    return Path(name) if name else None


def _write(result: Any, path: Path) -> None:
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")  # half of a pair is written as JSON escapes it


if __name__ == "__main__":
    sys.exit(main())
