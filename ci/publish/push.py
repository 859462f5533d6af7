"""Publishes an artifact: the gate first, then one commit on top of what the data repository holds now, or none."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..artifact import manifest as manifests
from ..artifact.manifest import Manifest
from ..errors import GateError, PublishError, near
from .changes import Changes, Order, changes, folders_of, published_manifest
from .merge import merge
from .message import message
from .remotes.base import CommitRefusedError, Head, MovedError, Remote, blob_id
from .retry import Patience

Gate = Callable[[Path, Path], None]  # artifact, published files of the same names; raises GateError
LFS = b"version https://git-lfs"  # what a file begins with that git does not hold itself


@dataclass(frozen=True)
class PublishResult:
    """Where an artifact's files are now."""

    commit: str
    branch: str
    changes: Changes
    news: bool  # False: the branch held all of it already
    notes: tuple[str, ...] = ()


def run(artifact: Path, order: Order, remote: Remote, gate: Gate, patience: Patience) -> PublishResult:
    """Publish what the gate lets pass.

    Raises PublishError where nothing was published, or nobody can tell; GateError where the gate refuses a file.
    """
    publisher = _checked(artifact, order, remote, gate, patience)
    return patience.keep_trying(publisher.publish, publisher.sent)


def check(artifact: Path, order: Order, remote: Remote, gate: Gate, patience: Patience) -> None:
    """Ask the gate alone. Raises PublishError where it cannot be asked, GateError where it refuses a file."""
    _checked(artifact, order, remote, gate, patience)


def look(order: Order, remote: Remote, patience: Patience) -> Changes:
    """What publishing would change as the branch is now. Raises PublishError where it would be refused."""
    publisher = _Publisher(order, remote)
    head = patience.keep_trying(publisher.head)
    return patience.keep_trying(lambda: publisher.plan(head))


def lines(published: PublishResult, to: str) -> list[str]:
    """Where an artifact is now, for a person."""
    plan = published.changes
    where = f"branch {published.branch} of {to}"
    kinds = {"new": plan.new, "changed": plan.changed, "removed": plan.removed, "identical": plan.identical}
    summary = "; ".join(f"{word}: {' '.join(names)}" for word, names in kinds.items() if names)
    line = f"published in {where}: {summary}" if published.news else f"nothing new: {where} holds the same already"
    return [line, *published.notes]


def _checked(artifact: Path, order: Order, remote: Remote, gate: Gate, patience: Patience) -> _Publisher:
    """What can publish an artifact that the gate has let pass."""
    unknown = [name for name in order.accept if name not in order.batch.cases]
    if unknown:
        raise PublishError(
            f"--accept {unknown[0]}: no such case is to be published; {near(unknown[0], order.batch.cases)}"
        )
    publisher = _Publisher(order, remote)
    patience.keep_trying(remote.check_access)
    with tempfile.TemporaryDirectory(prefix="gt-published-") as folder:
        published = Path(folder)
        patience.keep_trying(lambda: publisher.counterparts(published))
        try:
            gate(artifact, published)
        except GateError as error:
            advice = " Where a change is intended: --accept CASE --reason TEXT." if any(published.iterdir()) else ""
            raise GateError(f"{error}\nNothing was published: the gate refuses the artifact.{advice}") from None
    return publisher


class _Publisher:
    def __init__(self, order: Order, remote: Remote) -> None:
        self._order, self._remote = order, remote
        self._first: Head | None = None
        self._start: Head | None = None  # of the first try
        self._attempts: dict[str, Changes] = {}  # by commit
        self._sent = ""  # the commit of which nobody knows yet whether the server took it

    def sent(self) -> str:
        """What is not known of the outcome when nothing helps; empty where nothing was sent."""
        return f"it is not known whether commit {self._sent} got there" if self._sent else ""

    def counterparts(self, folder: Path) -> None:
        """Write what is published under the names of the batch's files, but for cases whose change is accepted."""
        head = self._start = self.head()
        ids: dict[str, str] = {}
        for path, cases in self._order.batch.folders.items():
            names = [file for name, files in cases.items() if name not in self._order.accept for file in files]
            ids |= {name: head.files[f"{path}/{name}"] for name in names if f"{path}/{name}" in head.files}
        contents = self._remote.read(set(ids.values()))
        for name, identity in ids.items():
            if contents[identity].startswith(LFS):
                raise PublishError(f"{name} lies in Git LFS, which is not supported; publish to a directory without it")
            (folder / name).write_bytes(contents[identity])
        whole: Manifest | None = None
        for path, manifest in self._manifests(head).items():
            records, cases = manifest.cases, self._order.batch.folders[path]
            names = [name for name in cases if name in records and records[name].status == "ok"]
            whole = merge(whole, manifest, names)
        if whole is not None:
            (folder / manifests.NAME).write_text(whole.text(), encoding="utf-8")

    def publish(self) -> PublishResult:
        """One try; the first starts from what was looked at before the gate. If that moved, the server says so."""
        head, self._start = self._start or self.head(), None
        for commit in self._attempts:
            if self._remote.holds(commit):
                return self._read_back(commit, head)
        self._sent = ""
        plan = self.plan(head)
        if not plan.files:
            return self._nothing_new(plan)
        commit = self._remote.make(head, plan.files, message(self._order, plan))
        self._attempts[commit], self._sent = plan, commit
        try:
            self._remote.advance(head, commit)
        except (MovedError, CommitRefusedError):
            self._sent = ""  # the server says that it did not take it
            raise
        return self._read_back(commit, self.head())

    def plan(self, head: Head) -> Changes:
        """What is to change. Raises PublishError where nobody has agreed to it."""
        plan = changes(self._order, head, self._manifests(head), self._first or head)
        if plan.refusals:
            raise PublishError("\n".join([*_REFUSED, *plan.refusals]))
        if plan.hidden and not self._order.allow_hidden:
            raise PublishError("\n".join([*_HIDDEN, *plan.hidden]))
        return plan

    def _nothing_new(self, plan: Changes) -> PublishResult:
        head = plan.head
        assert head.commit is not None  # noqa: S101  # an empty repository lacks every file
        notes: tuple[str, ...] = ()
        if head.new:
            self._remote.advance(head, head.commit)
            notes = ("the branch was not there; it now stands where the default branch does",)
        return PublishResult(head.commit, self._remote.branch, plan, news=False, notes=notes)

    def _read_back(self, commit: str, head: Head) -> PublishResult:
        """Compare what the server holds now with what was sent."""
        if not self._remote.holds(commit):
            raise MovedError(f"the server took commit {commit}, but the branch does not hold it")
        plan = self._attempts[commit]
        ids = {path: None if content is None else blob_id(content) for path, content in plan.files.items()}
        others = sorted(path for path, identity in ids.items() if head.files.get(path) != identity)
        if others and head.commit == commit:
            raise PublishError(f"the server holds commit {commit}, but with other files: {', '.join(others)}")
        images = [path for path in others if not path.endswith(f"/{manifests.NAME}")]
        notes = [*plan.hidden, *plan.notes, *(f"{path} was changed since by commit {head.commit}" for path in images)]
        return PublishResult(commit, self._remote.branch, plan, news=True, notes=tuple(notes))

    def head(self) -> Head:
        """The branch as it is now. Raises PublishError where what is to be written is no file there."""
        head = self._remote.head(folders_of(self._order.batch))
        for folder, cases in self._order.batch.folders.items():
            for name in (manifests.NAME, *(file for files in cases.values() for file in files)):
                entry = head.entries.get(f"{folder}/{name}")
                if entry is not None and not entry.is_file:
                    raise PublishError(
                        f"{folder}/{name} is a link or a submodule in the data repository, no file; nothing was "
                        "published. Remove it there, or publish to another directory"
                    )
        self._first = self._first or head
        return head

    def _manifests(self, head: Head) -> Mapping[str, Manifest]:
        """The published manifests by folder."""
        paths = {folder: f"{folder}/{manifests.NAME}" for folder in self._order.batch.folders}
        ids = {folder: head.files[path] for folder, path in paths.items() if path in head.files}
        contents = self._remote.read(set(ids.values()))
        return {folder: published_manifest(folder, contents[identity]) for folder, identity in ids.items()}


_HIDDEN = (
    "nothing was published: readers would not see it.",
    "Without --bare it goes into the folder of the GPU kind; --allow-hidden publishes all the same:",
)
_REFUSED = (
    "a published image changes only where that is intended; nothing was published.",
    "Look at the images, then: --accept CASE --reason TEXT for each of these cases:",
)
