"""A session under way: whose cases it makes on which GPUs, and behind which other one it waits there."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Thread

from ..contract import Prepared
from .process import Child
from .work import Work


@dataclass(eq=False)
class Running:
    """`behind` is the session on the same GPUs whose calls come before those of this one, which loads meanwhile."""

    work: Work
    cards: tuple[str, ...]
    model: Prepared
    child: Child
    behind: Running | None = None
    thread: Thread | None = None  # that follows the process
    loaded: bool = False
    begun: bool = False  # it was given a case
    leaving: bool = False  # it makes no further call

    @property
    def may_call(self) -> bool:
        """Whether the GPUs are its own by now."""
        return self.behind is None or self.behind.leaving

    @property
    def early(self) -> bool:
        """Whether it has done no more than load behind another one: its job is as if it had never been."""
        return self.behind is not None and not self.begun

    @property
    def at_last_case(self) -> bool:
        """Whether no case is left for it but the one that it makes."""
        return self.loaded and not self.work.waiting
