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
from ..errors import GateError, GtError

NEEDED = "skimage"  # what tells an environment that can judge
RESULT = "result.json"
COMPARISON = "compare.json"

Command = Literal["check", "compare"]
Spec = Mapping[str, Any]  # `gt_judge.__main__` names its keys


def validated(artifact: Path, *, images_only: bool) -> None:
    """Raises GtError unless the artifact can be judged: by its manifest, or as images alone."""
    if images_only:
        if not artifact.is_dir():
            raise GtError(f"{artifact} is no directory")
    elif artifact.is_dir() and not (artifact / manifests.NAME).exists():
        raise GtError(f"{artifact} holds no {manifests.NAME}; --images-only takes its images as they are")
    else:
        manifests.read(artifact)


def gate(artifact: Path, published: Path | None) -> None:
    """The quality gate as publishing asks it: also against the files that are published under the same names.

    Raises GateError with a line for each bad file, GtError where the gate cannot run.
    """
    validated(artifact, images_only=False)
    against = str(published) if published is not None and any(published.iterdir()) else None
    sound(check({"artifact": str(artifact), "images_only": False, "published": against}))


def sound(result: Mapping[str, Any]) -> None:
    """Raises GateError, with a line for each bad file, unless a check lets every file pass."""
    if result["bad"]:
        raise GateError("\n".join([*result["bad"], *summary(result)]))


def command(what: Command, spec: str, out: str) -> list[str]:
    """What runs the judge, but for the Python before it."""
    return ["-m", "gt_judge", what, spec, out]


def check(spec: Spec) -> dict[str, Any]:
    """Run the quality gate on this machine; the result holds every number. Raises GtError where it cannot run."""
    with tempfile.TemporaryDirectory(prefix="gt-check-") as folder:
        out = Path(folder) / RESULT
        _run("check", spec, Path(folder), out)
        result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return result


def compare(spec: Spec, out: Path) -> dict[str, Any]:
    """Compare on this machine; report, JSON and JUnit XML go into the folder. Raises GtError."""
    with tempfile.TemporaryDirectory(prefix="gt-compare-") as folder:
        _run("compare", spec, Path(folder), out)
    result: dict[str, Any] = json.loads((out / COMPARISON).read_text(encoding="utf-8"))
    return result


def _run(what: Command, spec: Spec, folder: Path, out: Path) -> None:
    if importlib.util.find_spec(NEEDED) is None:
        raise GtError("judging needs the runner's environment: run `uv sync`, and leave out --no-dev")
    file = folder / "spec.json"
    file.write_text(json.dumps(spec), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *command(what, str(file), str(out))], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise GtError(done.stderr.strip() or f"the judge ended with status {done.returncode}")


def summary(result: Mapping[str, Any]) -> Iterator[str]:
    """What a check found beside the bad files, for a person."""
    bad, total, open_ = len(result["bad"]), result["images"], result["unreferenced"]
    yield (
        f"{total} images were looked at; {bad} files are bad" if bad else f"{total} images were looked at; none is bad"
    )
    if open_:
        yield f"{open_} of them are unreferenced: drift, shift, crop and swap were not looked for"


def differences(result: Mapping[str, Any]) -> Iterator[str]:
    """What a comparison found, for a person: counts, then a line for each case that is not as it was."""
    for against, counts in result["counts"].items():
        if counts:
            yield f"against {against}: {', '.join(f'{count} {word}' for word, count in counts.items())}"
    for case in result["cases"]:
        words = [f"engine {case['engine_verdict']}"] if case["engine_verdict"] in ("failed", "missing") else []
        if case["grade"] in ("changed", "missing", "new"):
            words.insert(0, case["grade"])
        if words:
            yield f"{case['name']}: {', '.join(words)}{_reason(case)}"
    for old, new in result["renamed"].items():
        yield f"renamed: {old} is now {new}"


def _reason(case: Mapping[str, Any]) -> str:
    reasons = [*case["why_missing"], *(reason for file in case["files"] for reason in _file_reasons(file))]
    return f": {reasons[0]}{f' (and {len(reasons) - 1} more)' if len(reasons) > 1 else ''}" if reasons else ""


def _file_reasons(file: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{file['name']}: {text}" for text in file["engine_failed"] or file["beyond_noise_floor"])
    found = file["published"]
    if file["grade"] == "changed" and found and not file["beyond_noise_floor"]:
        values = ", ".join(f"{name} {value:.4g}" for name, value in found["values"].items() if value is not None)
        yield f"{file['name']}: {found['error'] or values}"
