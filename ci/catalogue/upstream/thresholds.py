"""`python -m ci.catalogue.upstream.thresholds CHECKOUT REF` reads upstream's thresholds for its own engine's output.

Each platform that the checkout has a file for is read anew; the others stay, with the ref that they came from.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ... import RUNNER
from ...errors import DefinitionsError
from .checkout import files

FOLDER = PurePosixPath("python/sglang/multimodal_gen/test/server/consistency_thresholds")
FILES = {"h100": "h100", "b200": "b200", "5090": "5090", "gfx1250": "gfx1250", "b60": "intel_xpu_b60"}  # by GPU kind
MEASURES = ("clip", "ssim", "psnr", "mean_abs_diff")
OUTPUT = RUNNER / "gt_judge" / "compare" / "serving_thresholds.yaml"
HEAD = """\
# When an engine's output passes against GT: every measure must hold for every file of a case.
#
# These are upstream's thresholds for the output of its own engine, not noise floors: they say what one engine may
# differ, and nothing of how well a case repeats. clip, ssim and psnr (dB) are the least that passes, mean_abs_diff
# (0..255) is the most. A platform is an overlay over h100; a case without a line in either has the defaults.
# Written by `python -m ci.catalogue.upstream.thresholds CHECKOUT REF`; {folder} holds the files.
"""


def main() -> None:
    """Write the thresholds of a checkout into the judge's file."""
    parser = argparse.ArgumentParser(prog="python -m ci.catalogue.upstream.thresholds")
    parser.add_argument("checkout", type=Path, help="A checkout of sgl-project/sglang.")
    parser.add_argument("ref", help="The commit or tag that is checked out.")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="The file to write.")
    options = parser.parse_args()
    before = yaml.safe_load(options.output.read_text("utf-8")) if options.output.exists() else {}
    try:
        content = updated(before, options.checkout, options.ref)
    except DefinitionsError as error:
        sys.exit(str(error))
    options.output.write_text("".join(lines(content)), encoding="utf-8")


def updated(before: Mapping[str, Any], checkout: Path, ref: str) -> dict[str, Any]:
    """The content of the judge's file, with the platforms that a checkout has a file for read anew.

    Raises DefinitionsError where it has none, or one that cannot be read.
    """
    read = files(checkout)
    if not any(read(FOLDER / f"{name}.json") for name in FILES.values()):
        raise DefinitionsError(f"{checkout} has no {FOLDER}; give a checkout of sgl-project/sglang")
    content = {"defaults": before.get("defaults", {}), "platforms": dict(before.get("platforms", {}))}
    for kind, name in FILES.items():
        data = read(FOLDER / f"{name}.json")
        if data is None:
            continue
        try:
            thresholds = json.loads(data)
            cases = {case: _bounds(limits, "{}_threshold") for case, limits in thresholds.get("cases", {}).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise DefinitionsError(f"{checkout / FOLDER / name}.json holds no thresholds of cases: {error}") from None
        content["platforms"][kind] = {"file": f"{name}.json", "ref": ref, "cases": cases}
        if "default_ssim_threshold_image" in thresholds:
            content["defaults"] = {
                output: _bounds(thresholds, f"default_{{}}_threshold_{output}") for output in ("image", "video")
            }
    return content


def _bounds(limits: Mapping[str, float], name: str) -> dict[str, float]:
    """By measure; a case that lacks one has the default, as upstream takes it."""
    bounds = {measure: limits.get(name.format(measure)) for measure in MEASURES}
    return {measure: float(limit) for measure, limit in bounds.items() if limit is not None}


def lines(content: Mapping[str, Any]) -> Iterator[str]:
    """The content as YAML, with a line for each case."""
    yield HEAD.format(folder=FOLDER)
    yield "version: 2\ndefaults:\n"
    yield from _entries(content["defaults"], 2)
    yield "platforms:\n"
    for kind, platform in content["platforms"].items():
        yield f"  {_key(kind)}:\n    file: {platform['file']}\n    ref: {platform['ref']}\n"
        yield "    cases:\n" if platform["cases"] else "    cases: {}\n"
        yield from _entries(platform["cases"], 6)


def _entries(entries: Mapping[str, Mapping[str, float]], indent: int) -> Iterator[str]:
    for name, bounds in entries.items():
        values = ", ".join(f"{measure}: {value}" for measure, value in bounds.items())
        yield f"{' ' * indent}{_key(name)}: {{{values}}}\n"


def _key(name: str) -> str:
    """A name as YAML reads it back: 5090 alone would be a number."""
    return name if yaml.safe_load(name) == name else json.dumps(name)


if __name__ == "__main__":
    main()
