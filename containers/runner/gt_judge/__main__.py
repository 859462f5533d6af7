"""The judge's command line, for programs.

    python -m gt_judge check SPEC.json RESULT.json     the quality gate; RESULT.json holds every number
    python -m gt_judge compare SPEC.json FOLDER        compare.json, junit.xml and report.html in the folder

SPEC.json holds a `Spec`. The exit status is 0 whatever was found, 2 with one message where nothing could be judged.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict

from gt_runner.errors import RunnerError

from . import artifact as artifacts
from .compare import thresholds
from .published import Published


class Spec(TypedDict, total=False):
    """What is judged. Paths are of this machine; `published` may be a git address, URL#REF:PATH."""

    artifact: str
    images_only: bool  # the artifact has no manifest
    published: str | None
    engine: str | None
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
    spec: Spec = json.loads(arguments.spec.read_text())
    try:
        with ExitStack() as stack:
            published = _published(spec.get("published"), stack)
            judge = _check if arguments.command == "check" else _compare
            judge(spec, published, arguments.out)
    except RunnerError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the message is the output
        return 2
    return 0


def _published(given: str | None, stack: ExitStack) -> Published | None:
    if not given:
        return None
    if Path(given).is_dir() or "#" not in given:
        return Published(Path(given))
    from gt_runner.fetch.git import fetch_folder  # noqa: PLC0415  # where everything is at hand, no git and no network is needed

    url, _, place = given.partition("#")
    ref, _, path = place.partition(":")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gt-published-"))
    return Published(fetch_folder(url, ref or "HEAD", path.strip("/"), Path(folder)))


def _check(spec: Spec, published: Published | None, out: Path) -> None:
    from .check.check import check  # noqa: PLC0415  # each command imports what it needs and no more

    artifact = artifacts.read(Path(spec["artifact"]), images_only=spec.get("images_only", False))
    _write(check(artifact, published), out)


def _compare(spec: Spec, published: Published | None, out: Path) -> None:
    from .compare.compare import Against, compare  # noqa: PLC0415
    from .compare.learned import Learned  # noqa: PLC0415
    from .compare.report import junit, page  # noqa: PLC0415

    engine, models, floor = (_path(spec.get(what)) for what in ("engine", "models", "noise_floor"))
    if engine is not None and not engine.is_dir():
        raise RunnerError(f"{engine} is no directory of an engine's output")
    against = Against(
        published=published,
        engine=engine,
        learned=Learned(models),
        floors=thresholds.noise_floors(floor or thresholds.NOISE_FLOOR),
        names=spec.get("names", {}),
    )
    artifact = artifacts.read(Path(spec["artifact"]), images_only=spec.get("images_only", False))
    comparison = compare(artifact, against)
    out.mkdir(parents=True, exist_ok=True)
    _write(comparison.told(), out / "compare.json")
    junit.write(comparison, out / "junit.xml")
    page.write(comparison, out / "report.html")


def _path(given: Any) -> Path | None:
    return Path(given) if given else None


def _write(result: Any, path: Path) -> None:
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
