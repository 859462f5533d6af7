"""An artifact told in Markdown, for the page of a CI run, and its counts for what comes after."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from ..errors import ArtifactError, one_line
from ..words import counted
from .manifest import Manifest
from .records import CaseRecord
from .verdict import bad

COLUMNS = ("case", "status", "source", "model", "GPU", "seconds", "files")
MOST_CASES = 1_000  # rows; GitHub shows no summary of more than 1 MiB, and a row has some 300 bytes
MOST_WORDS = 200  # characters of a reason; the manifest has all of it


def texts(manifest: Manifest, problems: Iterable[str], artifact_url: str = "") -> dict[str, str]:
    """The files that tell of an artifact: `summary.md`, `counts.env`, `problems.txt`.

    `counts.env` has a line NAME=NUMBER for each count, `problems.txt` one for each of the verdict's problems.
    Pictures are links to `artifact_url`: GitHub and GitLab strip images that are embedded as data. Raises ArtifactError
    for an address that is no http address.
    """
    if artifact_url and not re.match(r"https?://", artifact_url):
        raise ArtifactError(f"{artifact_url!r} is no address of an artifact; write http://… or https://…")
    troubles = bad(manifest)
    names = [*troubles, *(name for name in manifest.cases if name not in troubles)]  # what failed comes first
    link = quote(artifact_url, safe=":/?#[]@!$&'*+,;=%~")
    good = len(names) - len(troubles)
    lines = [f"### Ground truth: {counted(good, 'case', of=len(names))}", ""]
    lines += [f"[Images and manifest.json]({link})", ""] if link else []
    lines += [row(COLUMNS), row("---" for _ in COLUMNS)]
    lines += [row(_cells(name, manifest, troubles.get(name), link)) for name in names[:MOST_CASES]]
    left_out = len(names) - MOST_CASES
    lines += ["", f"and {left_out} more in manifest.json"] if left_out > 0 else []
    counts = {"case_count": len(names), "failed_count": len(troubles)}
    return {
        "summary.md": "\n".join(lines) + "\n",
        "counts.env": "".join(f"{name}={count}\n" for name, count in counts.items()),
        "problems.txt": "".join(f"{line}\n" for line in problems),
    }


def _cells(name: str, manifest: Manifest, trouble: str | None, link: str) -> Iterator[str]:
    record = manifest.cases.get(name)
    is_old = record is not None and name not in manifest.run.made
    yield plain(name)
    yield "❌ " + plain(trouble[:MOST_WORDS]) if trouble else "✅ ok" + (", made before" if is_old else "")
    yield plain(record.source if record else "")
    yield plain(_model(record) if record else "")
    yield plain(record.gpu.name or record.gpu.kind if record and record.gpu else "")
    yield f"{record.seconds.generate:.1f}" if record and record.seconds else ""
    files = [plain(file.name) for file in record.files] if record else []
    yield "<br>".join(f"[{file}]({link})" if link else file for file in files)


def _model(record: CaseRecord) -> str:
    model = record.case.get("model")
    name = model.get("repo") or model.get("tiny") if isinstance(model, dict) else model
    return str(name or "")


def row(cells: Iterable[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Text that Markdown shows as it is: what a log says may neither break the table nor become a link or an image."""
    return re.sub(r"([\\`*_{}\[\]<>()#&|~!$@:]|(?<=www)\.)", r"\\\1", one_line(text), flags=re.IGNORECASE)
