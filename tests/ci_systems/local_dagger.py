"""Stands in for the `dagger` CLI where no engine is: each call is carried out by the local command, on this machine.

GT_CALLS names a file that gets a line for each call: its verb, and which secrets its environment held. A job whose case
GT_DIES names dies while it generates, and leaves nothing.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

GT = Path(sys.executable).parent / "gt"
SECRETS = ("HF_TOKEN", "GT_PUBLISH_TOKEN")
ELSEWHERE = {"--insecure-hosts", "--max-minutes", "--on"}  # of hosts and engines, which are not here
DELIVERED = 1  # with which the local command says that what it wrote is not all good; a function gives it all the same


def main() -> int:
    """Keep the call, and carry it out."""
    words = sys.argv[1:]
    if words == ["version"]:
        print(f"dagger {os.environ['GT_DAGGER_VERSION']} (nowhere) linux/amd64")  # noqa: T201
        return 0
    verb, options = words[3], words[4:]
    held = [name for name in SECRETS if os.environ.get(name)]
    with Path(os.environ["GT_CALLS"]).open("a") as log:
        log.write(json.dumps({"verb": verb, "options": options, "secrets": held}) + "\n")
    if verb == "generate" and f'--case-ids="{os.environ.get("GT_DIES")}"' in options:
        return 137
    status = subprocess.run([GT, verb, *_local(options)], check=False).returncode
    return 0 if verb in ("generate", "compare") and status == DELIVERED else status


def _local(options: list[str]) -> Iterator[str]:
    """Options as the local command takes them: a flag for a boolean, a secret from its variable, a list by words."""
    ids: list[str] = []
    for option in options:
        name, _, value = option.partition("=")
        if name == "--parts":
            yield value
        elif name == "--case-ids":
            ids += next(csv.reader([value]))
        elif name == "--accept":
            yield from (f"{name}={word}" for word in next(csv.reader([value])))
        elif value == "true":
            yield name
        elif name not in ELSEWHERE and value != "false" and not value.startswith("env:"):
            yield option
    if ids:
        yield f"--case-ids={' '.join(ids)}"


if __name__ == "__main__":
    sys.exit(main())
