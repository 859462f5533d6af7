"""The judge, as a process of its own: it needs numpy and scikit-image, and planning does not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from ..artifact import manifest as manifests
from ..artifact.replay_report import Metrics
from ..catalogue.gpus import FOLDERS
from ..errors import GateError, GtError, printable
from ..words import are, counted
from . import published as addresses

NEEDED = "skimage"  # the package that only an environment with the judge's dependencies has
RESULT = "result.json"
COMPARISON = "compare.json"
DIVERGENCE, TABLE = "diverge.json", "diverge.txt"

Command = Literal["check", "compare", "diverge"]
Spec = Mapping[str, Any]  # `gt_judge.__main__` names its keys; here `published` may be a git address too


def gate(artifact: Path, published: Path | None) -> None:
    """The quality gate as publishing asks it: also against what is published under the same names.

    Raises GateError with a line for each bad file, GtError where the gate cannot run.
    """
    reference = str(published) if published is not None and any(published.iterdir()) else None
    passed(check({"artifact": str(artifact), "published": reference}))


def check(spec: Spec) -> dict[str, Any]:
    """Run the quality gate on this machine; the result holds every number. Raises GtError where it cannot run."""
    with tempfile.TemporaryDirectory(prefix="gt-check-") as folder:
        out = Path(folder) / RESULT
        _run("check", spec, out)
        return _content(out)


def against(artifact: Path, published: Path) -> dict[str, Metrics]:
    """How much files differ from published ones of their names, for whoever needs no report. Raises GtError."""
    with tempfile.TemporaryDirectory(prefix="gt-compare-") as folder:
        return metrics(compare({"artifact": str(artifact), "published": str(published)}, Path(folder)))


def compare(spec: Spec, out: Path) -> dict[str, Any]:
    """Compare on this machine; report, JSON and JUnit XML go into the folder. Raises GtError."""
    _run("compare", spec, out)
    return _content(out / COMPARISON)


def diverge(spec: Spec, out: Path) -> dict[str, Any]:
    """Compare two traces on this machine; JSON, table and pictures go into the folder. Raises GtError."""
    _judge("diverge", spec, out)
    return _content(out / DIVERGENCE)


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _run(what: Command, spec: Spec, out: Path) -> None:
    with addresses.at_hand(spec.get("published")) as published:
        artifact = manifests.folder_of(Path(spec["artifact"]))
        validate(what, spec, artifact, published)
        places = {"artifact": str(artifact), "published": published and str(published), "gpu_folders": FOLDERS}
        _judge(what, {**spec, **places}, out)


def _judge(what: Command, spec: Spec, out: Path) -> None:
    if importlib.util.find_spec(NEEDED) is None:
        raise GtError("judging needs the runner's environment: run `uv sync`, and leave out --no-dev")
    with tempfile.NamedTemporaryFile("w", prefix="gt-judge-", suffix=".json", encoding="utf-8") as file:
        json.dump(spec, file)
        file.flush()
        answer = subprocess.run(
            [sys.executable, *command(what, file.name, str(out))], stderr=subprocess.PIPE, text=True, check=False
        )
    if answer.returncode:
        raise GtError(answer.stderr.strip() or f"the judge ended with status {answer.returncode}")


def command(what: Command, spec: str, out: str) -> list[str]:
    """What runs the judge, but for the Python before it."""
    return ["-m", "gt_judge", what, spec, out]


def validate(what: Command, spec: Spec, artifact: Path, published: Path | None) -> None:
    """Raises GtError unless there is something to judge, with manifests that are whole: the artifact's and published.

    The folders need not hold more than the manifests.
    """
    if what == "compare" and published is None and not spec.get("engine"):
        raise GtError("name what to compare with: --published, --engine or both")
    if bool(spec.get("reference")) != bool(spec.get("other")):
        raise GtError("two traces are compared: give --reference-trace and --other-trace, or neither")
    if not spec.get("images_only"):
        if artifact.is_dir() and not (artifact / manifests.NAME).exists():
            raise GtError(f"{artifact} holds no {manifests.NAME}; --images-only takes its images as they are")
        manifests.read(artifact)
    if published is not None:
        for path in (*published.glob(manifests.NAME), *published.glob(f"*/{manifests.NAME}")):
            manifests.read(path.parent)


def metrics(comparison: Mapping[str, Any]) -> dict[str, Metrics]:
    """What a comparison measured of each file against the published one."""
    files = [file for case in comparison["cases"] for file in case["files"]]
    return {file["name"]: file["published"]["values"] for file in files if file["published"]}


def passed(result: Mapping[str, Any]) -> list[str]:
    """The summary of a check that refused nothing. Raises GateError, with a line for each bad file, for another one."""
    lines = list(summary(result))
    if result["bad"]:
        raise GateError("\n".join([*result["bad"], *lines]))
    return lines


def summary(result: Mapping[str, Any]) -> Iterator[str]:
    """The counts of a check, for a person."""
    bad, total, unreferenced = len(result["bad"]), result["images"], result["unreferenced"]
    sentence = f"{counted(total, 'image')} {'was' if total == 1 else 'were'} looked at"
    yield f"{sentence}; {counted(bad, 'file') if bad else 'none'} {are(bad or 1)} bad"
    if unreferenced:
        words = f"{unreferenced} of them {are(unreferenced)}"
        yield f"{words} unreferenced: drift, shift, crop and swap were not looked for"


def divergences(result: Mapping[str, Any]) -> Iterator[str]:
    """The counts of a comparison of traces, and the cases that only one of them has."""
    cases, diverged = result["cases"], sum(case["diverged"] for case in result["cases"])
    yield f"{counted(diverged, 'case', of=len(cases))} diverged{', by every bit' if result['exact'] else ''}"
    for side in ("reference", "other"):
        names = result[f"only_in_{side}"]
        if names:
            yield f"only the {side} has {', '.join(names)}: not compared"


def differences(result: Mapping[str, Any]) -> Iterator[str]:
    """A comparison for a person: counts, then a line for each case that is not as it was."""
    for other, counts in result["counts"].items():
        if counts:
            yield f"against {other}: {', '.join(f'{count} {word}' for word, count in counts.items())}"
    yield from result["other_kinds"]
    for case in result["cases"]:
        words = [_engine_words(case)] if case["engine_verdict"] in ("failed", "missing") else []
        if case["grade"] in ("changed", "missing", "new"):
            words.insert(0, case["grade"])
        if words:
            yield printable(f"{case['name']}: {', '.join(words)}{_reason(case)}")
    for old, new in result["renamed"].items():
        yield printable(f"renamed: {old} is now {new}")


def _engine_words(case: Mapping[str, Any]) -> str:
    origin = f" by the thresholds of {case['engine_thresholds_from']}" if case["engine_verdict"] == "failed" else ""
    return f"engine {case['engine_verdict']}{origin}"


def _reason(case: Mapping[str, Any]) -> str:
    reasons = [*case["why_missing"], *(reason for file in case["files"] for reason in _file_reasons(file))]
    return f": {reasons[0]}{f' (and {len(reasons) - 1} more)' if len(reasons) > 1 else ''}" if reasons else ""


def _file_reasons(file: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{file['name']}: {text}" for text in file["engine_failed"] or file["beyond_noise_floor"])
    pair = file["published"]
    if file["grade"] == "changed" and pair and not file["beyond_noise_floor"]:
        values = ", ".join(f"{name} {value:.4g}" for name, value in pair["values"].items() if value is not None)
        yield f"{file['name']}: {pair['error'] or values}"
