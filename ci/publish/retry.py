"""Tries again what may pass: a server that is busy, a branch that others write to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from ..errors import PublishError
from .remotes.base import MovedError, PassingError

T = TypeVar("T")
NOTHING = "nothing was published"


@dataclass(frozen=True)
class Patience:
    """How often, and with which pauses."""

    attempts: int = 10
    first: float = 0.5  # seconds, then twice as long each time
    longest: float = 30.0
    most_asked: float = 300.0  # a server that asks for a longer pause is not waited for
    resume: str = ""  # the command that goes on after a failure

    def keep_trying(self, action: Callable[[], T], known: Callable[[], str] = lambda: NOTHING) -> T:
        """What `action` gives. Raises PublishError at the end, which says what is `known` of the outcome then."""
        tries = 0
        try:
            for attempt in stamina.retry_context(
                self._pause,
                attempts=self.attempts,
                timeout=None,
                wait_initial=self.first,
                wait_max=self.longest,
                wait_jitter=self.first,
            ):
                with attempt:
                    tries = attempt.num
                    return action()
        except (MovedError, PassingError) as error:
            gave_up = f"Gave up after {tries} {'try' if tries == 1 else 'tries'}"
            raise PublishError(f"{error}\n{gave_up}; {known()}; {self._again()}") from error
        except PublishError as error:
            if known() == NOTHING:
                raise
            raise PublishError(f"{error}\nBefore that a commit was sent: {known()}; {self._again()}") from error
        raise AssertionError("stamina gives a result or raises")

    def _again(self) -> str:
        if not self.resume:
            return "try again later"
        return f"to go on, which finds out and repeats nothing:\n  {self.resume}"

    def _pause(self, error: Exception) -> bool | float:
        if isinstance(error, PassingError) and error.pause is not None:
            return error.pause if error.pause <= self.most_asked else False
        return isinstance(error, MovedError | PassingError)
