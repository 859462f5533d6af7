"""A request instead of a push: a branch of its own, and a text that shows what merging it changes."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from ..artifact import manifest as manifests
from ..artifact.replay_report import Measure, Metrics
from ..artifact.summary import plain, row
from ..errors import PublishError
from ..words import counted
from .changes import Changes, Order
from .fetch.lock import LockedFile, commit_line, file_line
from .message import message
from .remotes.base import Remote
from .retry import Patience

COLUMNS = ("case", "file", "change", "SSIM", "PSNR", "mean abs diff", "before", "after")
MEASURES = ("ssim", "psnr", "mean_abs_diff")
LONGEST = 60_000  # characters of a text; GitHub takes 65,536
MOST_LINES = 40  # of a lock file
WIDTH = 160  # pixels of a picture in the table


@dataclass(frozen=True)
class Base:
    """The branch that a request is for, as it was looked at, and what changes there."""

    url: str
    remote: Remote
    plan: Changes


@dataclass(frozen=True)
class Proposal:
    """The words of a request, and its address where it was opened."""

    title: str
    text: str
    address: str | None = None


def branch_of(order: Order, base: str) -> str:
    """The name of the branch for a request: one artifact that goes into the same folders has one branch."""
    words = "\n".join([order.batch.digest, *sorted(order.batch.folders), base])
    return f"publish-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def propose(
    artifact: Path, order: Order, base: Base, branch: Remote, commit: str, compare: Measure, patience: Patience
) -> Proposal:
    """Say what a commit changes, and open the request where that can be done.

    Raises PublishError where the server does not take it; the branch holds the commit all the same.
    """
    head = base.plan.head
    ids = {path: head.files[path] for path in base.plan.files if path in head.files}
    contents = patience.keep_trying(lambda: base.remote.read(set(ids.values())))
    before = {path: contents[identity] for path, identity in ids.items()}
    with tempfile.TemporaryDirectory(prefix="gt-published-") as folder:
        for path, content in before.items():
            name = PurePosixPath(path).name
            if name != manifests.NAME and base.plan.files[path] is not None:
                Path(folder, name).write_bytes(content)
        metrics = compare(artifact, Path(folder)) if any(Path(folder).iterdir()) else {}
    title, _, origin = message(order, base.plan).partition("\n")
    rows = list(_rows(order, base, commit, metrics))
    text = _text(origin, rows, list(_moves(base, commit, before)), base.remote.branch)
    try:
        patience = replace(patience, outcome="no pull request was opened")
        address = patience.keep_trying(lambda: branch.propose(base.remote.branch, title, text))
    except PublishError as error:
        raise PublishError(
            f"branch {branch.branch} holds commit {commit}, but the request was not opened: {error}"
        ) from error
    return Proposal(title, text, address)


def _rows(order: Order, base: Base, commit: str, metrics: Mapping[str, Metrics]) -> Iterator[str]:
    """A row of the table for each file, worst first: what changed, what is new, what goes."""
    plan, head = base.plan, base.plan.head
    for change, names in (("changed", plan.changed), ("new", plan.new)):
        for folder, cases in order.batch.folders.items():
            for case in (name for name in names if name in cases):
                why = f"{change}: {order.accept[case]}" if case in plan.changed else change
                for name in (name for name in cases[case] if f"{folder}/{name}" in plan.files):
                    path, values = f"{folder}/{name}", metrics.get(name, {})
                    numbers = [_number(values.get(key)) if values else "" for key in MEASURES]
                    old = _picture(base.url, head.commit, path) if path in head.files else ""
                    new = _picture(base.url, commit, path)
                    yield row((plain(case), plain(name), plain(why), *numbers, old, new))
    for path in (path for path, content in plan.files.items() if content is None):
        name = PurePosixPath(path).name
        yield row(("", plain(name), "removed", "", "", "", _picture(base.url, head.commit, path), ""))


def _number(value: float | None) -> str:
    return "∞" if value is None else f"{value:.4g}"


def _picture(url: str, commit: str | None, path: str) -> str:
    """A picture that links to its page; where the server's pages are not known, the commit that holds it."""
    page = _page(url)
    if page is None or commit is None:
        return plain(f"{path} at {(commit or '')[:12]}")
    address, (blob, raw) = page
    name = f"{commit}/{quote(path)}"
    image = f'<img src="{address}/{raw}/{name}" width="{WIDTH}" alt="{quote(path)}">'
    return f'<a href="{address}/{blob}/{name}">{image}</a>'


_FORGES = {"github": ("blob", "raw"), "gitlab": ("-/blob", "-/raw"), "gitea": ("src/commit", "raw/commit")}
_FORGES |= {"forgejo": _FORGES["gitea"], "codeberg": _FORGES["gitea"]}


def _page(url: str) -> tuple[str, tuple[str, str]] | None:
    """The page of a repository, and how its server writes the address of a file there; None for another server."""
    short = re.fullmatch(r"[\w.-]+@([\w.-]+):(.+)", url)
    host, path = short.groups() if short else (urlsplit(url).hostname or "", urlsplit(url).path)
    forge = next((form for name, form in _FORGES.items() if name in host), None)
    return forge and (f"https://{host}/{quote(path.strip('/').removesuffix('.git'))}", forge)


def _moves(base: Base, commit: str, before: Mapping[str, bytes]) -> Iterator[str]:
    """The lines that change in the lock file of whoever follows the branch and fetches these files, as a diff."""
    yield f"-{commit_line(base.plan.head.commit or '')}"
    yield f"+{commit_line(commit)}"
    for path, content in sorted(base.plan.files.items()):
        if PurePosixPath(path).name == manifests.NAME:
            continue
        for sign, data in (("-", before.get(path)), ("+", content)):
            if data is not None:
                file = LockedFile(sha256=hashlib.sha256(data).hexdigest(), path=path, verified="manifest")
                yield f"{sign}{file_line(PurePosixPath(path).name, file)}"


def _text(origin: str, rows: list[str], moves: list[str], base: str) -> str:
    """The text of a request, as much of it as a server takes."""
    left = len(moves) - MOST_LINES
    excerpt = [*moves[:MOST_LINES], *([f" … and {counted(left, 'line')} more"] if left > 0 else [])]
    words = "<br>".join(plain(line) for line in origin.strip().splitlines() if line)
    head = [words, "", row(COLUMNS), row(["---"] * len(COLUMNS))]
    sentence = f"When this is merged, `gt fetch --update` moves these lines of a `gt.lock` that follows `{base}`"
    tail = ["", f"{sentence} (the commit is the merge's, where that makes one):", "", "```diff", *excerpt, "```"]
    longest = ["", f"and {counted(len(rows), 'file')} more"]
    room = LONGEST - sum(len(line) + 1 for line in (*head, *longest, *tail))
    lengths = accumulate(len(each) + 1 for each in rows)
    table = [each for each, length in zip(rows, lengths, strict=True) if length <= room]
    cut = len(rows) - len(table)
    more = ["", f"and {counted(cut, 'file')} more"] if cut else []
    return "\n".join([*head, *table, *more, *tail]) + "\n"
