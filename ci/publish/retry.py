"""Tries again what may pass: a server that is busy, a branch that others write to."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import PublishError
from ..words import counted
from .remotes.base import MovedError, PassingError

T = TypeVar("T")
NOTHING = "nothing was published"
LONGEST_WISH = 300.0  # seconds; a server that asks for a longer pause is not waited for
SEARCH = 8.0  # seconds, after which an address where nothing answers is given up
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How often, and with which pauses."""

    attempts: int = 10
    first: float = 0.5  # seconds, then twice as long each time, and up to `first` more, so that two writers part
    longest: float = 30.0
    command: str = ""  # that goes on after a failure
    say: Callable[[str], None] = log.warning  # why there is a pause, and for how long
    outcome: str = NOTHING  # where nothing was done

    def keep_trying(self, action: Callable[[], T], sent: Callable[[], str] = str) -> T:
        """What `action` gives. Raises PublishError at the end, which says that what was `sent` is not known."""
        tries, begin = 0, time.monotonic()
        while True:
            tries += 1
            try:
                return action()
            except (MovedError, PassingError) as error:
                pause = self._pause(error, tries, time.monotonic() - begin)
                if pause is None:
                    outcome = f"Gave up after {counted(tries, 'try')}; {sent() or self.outcome}"
                    raise PublishError(f"{error}\n{outcome}; {self._advice()}") from error
                self.say(f"{error}; trying again in {pause:.1f} s")
            except PublishError as error:
                if not sent():
                    raise
                raise PublishError(f"{error}\nBefore that a commit was sent: {sent()}; {self._advice()}") from error
            time.sleep(pause)

    def _advice(self) -> str:
        if not self.command:
            return "try again later"
        return f"to go on, which finds out and repeats nothing:\n  {self.command}"

    def _pause(self, error: MovedError | PassingError, tries: int, passed: float) -> float | None:
        """Seconds until the next try; None where there is none."""
        if tries >= self.attempts:
            return None
        if isinstance(error, PassingError) and error.pause is not None:
            return error.pause if error.pause <= LONGEST_WISH else None
        pause = min(self.longest, self.first * 2.0 ** (tries - 1)) + random.uniform(0, self.first)  # noqa: S311
        if isinstance(error, PassingError) and not error.reached and passed + pause > SEARCH:
            return None
        return pause
