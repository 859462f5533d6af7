"""A task as the machine that sent it sees it: what Slurm says of it, and what it writes into its folder."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ... import ROOT
from ...artifact.records import MoveRecord, RemoteRecord
from ...plan.generation import ENDS, now
from ..events import events_in
from .commands import State

if TYPE_CHECKING:  # the runner has an interpreter of its own
    from gt_runner.events import Ending, Event

LOG = 20  # last lines of a task's log that a failed case gets
LOG_BYTES = 1 << 18  # that they are looked for in: a serving engine may write gigabytes
SECRETS = ("TOKEN", "SECRET", "PASSWORD")  # the ends of variables' names, as the runner knows them


def written(folder: Path) -> defaultdict[int, list[str]]:
    """The names of the files in an array's folder, by task: listed once for all, as there may be a thousand."""
    names = defaultdict[int, list[str]](list)
    with suppress(OSError):  # a shared file system that fails for a moment is looked at again
        for path in folder.iterdir():
            number = path.name.partition(".")[0]
            if number.isdecimal():
                names[int(number)].append(path.name)
    return names


@dataclass
class Task:
    """One task of an array."""

    folder: Path
    number: int
    array: str
    cases: list[str]
    lock: IO[str] | None = None  # held, so that no other call waits for it too
    state: State = field(default_factory=lambda: State("PENDING", "None", ""))
    outcomes: dict[str, Ending] = field(default_factory=dict)
    hosts: dict[str, RemoteRecord] = field(default_factory=dict)  # by node
    moves: list[MoveRecord] = field(default_factory=list)
    is_over: bool = False
    _read: dict[Path, int] = field(default_factory=dict)  # bytes
    _node: str | None = None

    @property
    def name(self) -> str:
        """As Slurm writes it."""
        return f"{self.array}_{self.number}"

    @property
    def rest(self) -> list[str]:
        """Cases without an outcome; one that was skipped is still to be made, where Slurm queues the task again."""
        return [name for name in self.cases if self.outcomes.get(name, {"event": "skipped"})["event"] == "skipped"]

    def events(self, names: Iterable[str]) -> Iterator[Event]:
        """The events since the last time, in all lives of the task; `names` are those of its files."""
        lives = [Path(name) for name in names if name.endswith(".jsonl")]
        for life in sorted(lives, key=lambda name: int(name.suffixes[-2][1:])):
            for event in events_in(self._lines(self.folder / life)):
                if event["event"] == "node":  # of the task, not of its runner
                    self._on_node(event)
                    continue
                if event.get("case") not in (None, *self.cases):  # of an earlier call that asked for more than this one
                    continue
                if event["event"] in ENDS and not self._ends(event):
                    continue
                yield event

    def log(self, names: Iterable[str]) -> Iterator[str]:
        """The lines of its log since the last time."""
        if f"{self.number}.log" in names:
            yield from self._lines(self.folder / f"{self.number}.log")

    def log_end(self, stand_ins: Mapping[str, str]) -> list[str]:
        """The end of its log, without paths of the machine and without secrets."""
        try:
            with (self.folder / f"{self.number}.log").open("rb") as file:
                start = max(0, file.seek(0, os.SEEK_END) - LOG_BYTES)
                file.seek(start)
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        secrets = {value: "***" for name, value in os.environ.items() if name.endswith(SECRETS)}
        home = os.path.expanduser("~")  # noqa: PTH111  # Path.home raises where the user has none
        stand_ins = {**secrets, **stand_ins, str(ROOT): "<diffusion-gt>", home: "~"}
        for each in sorted(stand_ins, key=len, reverse=True):
            if len(each) > 1:
                text = text.replace(each, stand_ins[each])
        lines = text.splitlines()[1 if start else 0 :]  # of a first line that is cut, a secret may be left
        return [line for line in lines if line.strip()][-LOG:]

    def _lines(self, file: Path) -> Iterator[str]:
        """New whole lines; opened each time, since a shared file system shows what is new to who opens a file."""
        try:
            with file.open("rb") as stream:
                stream.seek(self._read.get(file, 0))
                data = stream.read()
        except OSError:
            return
        lines = data[: data.rfind(b"\n") + 1]
        self._read[file] = self._read.get(file, 0) + len(lines)
        yield from lines.decode(errors="replace").splitlines()

    def _on_node(self, event: dict[str, Any]) -> None:
        node, machine = event["node"], event["machine"]
        if self._node is not None:
            reason = "Slurm queued its task again"
            self.moves.append(MoveRecord(cases=self.rest, host=self._node, reason=reason))
        self._node = node
        self.hosts.setdefault(
            node,
            RemoteRecord(
                name=node,
                gpu=machine["kind"],
                gpu_name=machine["gpu_name"] or None,
                engine=None,
                cases=[],
                started=event["time"],
            ),
        )

    def _ends(self, event: Any) -> bool:
        """Whether this is news of a case. The last word counts; but what one life of the task made stays made."""
        name = event["case"]
        if self.outcomes.get(name, event)["event"] == "done" and event["event"] == "reused":
            return False
        self.outcomes[name] = event
        if self._node is not None and event["event"] == "done":
            self.hosts[self._node].cases.append(name)
        return True

    def ended(self) -> None:
        """It will not run again."""
        self.is_over = True
        if self._node is not None:
            host = self.hosts[self._node]
            self.hosts[self._node] = host.model_copy(update={"ended": now()})
