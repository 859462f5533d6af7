"""Stands in for the `dagger` CLI: keeps what it was called with, and answers with the local command's verbs.

GT_DAGGER names a folder: `calls.jsonl` gets a line for each call; `gt` is the artifact that `generate` gives for a
selection that the local command can plan, or the part of it that was asked for; a call whose words hold the line in
`breaks` fails.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

HERE = Path(os.environ["GT_DAGGER"])
GT = Path(sys.executable).parent / "gt"
NOT_LOCAL = ("on",)  # what the local verbs have other words for
SELECTION = ("--official=", "--case-ids=", "--source-group=", "--cases=", "--per-case=")


def main() -> int:
    """Keep the call, and answer it."""
    words = sys.argv[1:]
    if words == ["version"]:
        print(f"dagger {os.environ['GT_DAGGER_VERSION']} (docker-image://…) linux/amd64")  # noqa: T201
        return 0
    head, verb, options = words[:3], words[3], words[4:]
    module = os.environ.get("GT_MODULE") or os.environ["GITHUB_ACTION_PATH"]
    assert head == ["call", "-m", module.rstrip("/.")], head
    with (HERE / "calls.jsonl").open("a") as log:
        log.write(json.dumps({"verb": verb, "options": options, "env": dict(os.environ)}) + "\n")
    value_of = dict(option.removeprefix("--").split("=", 1) for option in options)
    breaks = HERE / "breaks"
    if breaks.exists() and breaks.read_text() in " ".join(words):
        return 1
    if verb in ("matrix", "gitlab-pipeline"):
        with Path(value_of["output"]).open("w") if "output" in value_of else nullcontext() as out:
            given = [option for option in options if not option.startswith("--output=")]
            return subprocess.run([GT, verb, *_local(given)], stdout=out, check=False).returncode
    if verb in ("collect", "verdict", "summary"):
        local = [options[0].removeprefix("--parts="), *options[1:]] if verb == "collect" else [*_local(options)]
        return subprocess.run([GT, verb, *local], check=False).returncode
    if verb == "generate":
        return _generate(options, Path(value_of["output"]))
    if verb == "compare":
        Path(value_of["output"]).mkdir()
        (Path(value_of["output"]) / "report.html").touch()
    if verb == "fetch":
        (Path(value_of["output"]) / "gt.lock").write_text('commit = "0123abc"\n')
        (Path(value_of["output"]) / "a_1gpu.png").touch()
    if verb == "publish":
        print("0123abc\nwhat was published")  # noqa: T201
    return 0


def _generate(options: list[str], output: Path) -> int:
    """Give the artifact, if the local command can plan what is selected."""
    selection = _local([option for option in options if option.startswith(SELECTION)])
    if refused := subprocess.run([GT, "matrix", *selection], stdout=subprocess.DEVNULL, check=False).returncode:
        return refused
    shutil.copytree(HERE / "gt", output, dirs_exist_ok=True)
    _only(output, _words(option for option in options if option.startswith("--case-ids=")))
    return 0


def _only(artifact: Path, case_ids: list[str]) -> None:
    """Take the other cases out of an artifact, if it holds any that is named."""
    manifest = json.loads((artifact / "manifest.json").read_text())
    cases = manifest["cases"]
    for name in cases.keys() - set(case_ids) if cases.keys() & set(case_ids) else ():
        for file in cases.pop(name)["files"]:
            (artifact / file["name"]).unlink()
    manifest["run"]["selection"]["case_ids"] = list(cases)
    (artifact / "manifest.json").write_text(json.dumps(manifest))


def _words(options: Iterable[str]) -> list[str]:
    """The values of an option that takes a list: each is a line of CSV, or nothing."""
    return [word for option in options for word in next(csv.reader([option.partition("=")[2]]), [])]


def _local(options: list[str]) -> Iterator[str]:
    """Options as the local verbs take them: a flag for a boolean, and one value for a list."""
    values: dict[str, list[str]] = {}
    for option in options:
        name, _, value = option.removeprefix("--").partition("=")
        values.setdefault(name, []).append(value)
    for name, texts in values.items():
        if name in NOT_LOCAL or texts == ["false"]:
            continue
        words = _words(f"={value}" for value in texts)
        yield f"--{name}" if texts == ["true"] else f"--{name}={' '.join(words)}"


if __name__ == "__main__":
    sys.exit(main())
