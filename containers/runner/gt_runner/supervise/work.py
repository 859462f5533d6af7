"""The cases of one job that are to be made: which waits for what, and on which GPUs its model did not load."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from ..contract import Prepared, load_spec
from ..tasks import RunJob
from .fetching import Fetching

Cards = Sequence[str]


def spec(prepared: Prepared) -> str:
    """What is loaded for a case; cases of one spec share one loaded model."""
    return json.dumps(load_spec(prepared["case"]), sort_keys=True)


class Work:
    """One job. Several sessions, each on GPUs of its own, may take cases from it at once."""

    def __init__(self, job: RunJob) -> None:
        self.job = job
        self.fetching: Fetching | None = None
        self.sessions = 0
        self.loading = 0  # those of them that have not asked for a case yet
        self.begun = False
        self._waiting: list[Prepared] | None = None  # None until all is fetched
        self._suspects: set[str] = set()  # cases that were under way when their process died, and are made alone now
        self._refusals: dict[str, set[str]] = {}  # by spec: GPUs on which the model did not load

    @property
    def cards(self) -> int:
        """How many GPUs one process of it needs."""
        return self.job["gpus"] if self.job["device"] == "cuda" else 0

    @property
    def bytes(self) -> int:
        """Of its weights, as far as they are known."""
        return self.fetching.bytes if self.fetching is not None else 0

    @property
    def missing(self) -> bool:
        """Whether something is known to be made, and not begun yet."""
        return self.fetching is not None and self.fetching.missing and not self.begun

    @property
    def waiting(self) -> list[Prepared]:
        """What nobody makes yet; nothing before it is the job's turn to be read."""
        if self._waiting is None:
            if self.fetching is None or not self.fetching.over:
                return []
            self._waiting = sorted(self.fetching.ready, key=spec)
        return self._waiting

    @property
    def minutes(self) -> float:
        """Expected minutes of what waits."""
        return sum(float(prepared["case"]["needs"].get("minutes", 1)) for prepared in self.waiting)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, or under way."""
        return self.fetching is not None and self.fetching.over and not self.waiting and not self.sessions

    @property
    def models(self) -> list[Prepared]:
        """A waiting case of each model, in the order in which new processes load them."""
        first: dict[str, Prepared] = {}
        for prepared in self._in_order():
            first.setdefault(spec(prepared), prepared)
        return list(first.values())

    def refused(self, prepared: Prepared) -> set[str]:
        """The GPUs on which the case's model did not load."""
        return self._refusals.get(spec(prepared), set())

    def model_for(self, cards: Cards) -> Prepared | None:
        """A waiting case of a model that these GPUs may load."""
        return next((model for model in self.models if self.refused(model).isdisjoint(cards)), None)

    def take(self, cards: Cards, loaded: Prepared, under_way: Collection[str]) -> tuple[bool, Prepared | None]:
        """Whether a process may have an answer now, and the next case for it, if there is one.

        One with the model that is loaded comes first, but for suspects, which are made alone: nothing else of their
        process is under way then.
        """
        fit = [prepared for prepared in self._in_order() if self.refused(prepared).isdisjoint(cards)]
        same = (prepared for prepared in fit if spec(prepared) == spec(loaded))
        following = fit[0] if fit and self._suspect(fit[0]) else next(same, next(iter(fit), None))
        alone = following is not None and self._suspect(following)
        if under_way and (alone or self._suspects.intersection(under_way)):
            return False, None
        if following is not None:
            self.waiting.remove(following)
        return True, following

    def put_back(self, cases: Iterable[Prepared], *, suspect: bool = False) -> None:
        """These were not made; a suspect may be what killed its process."""
        for prepared in cases:
            self.waiting.append(prepared)
            if suspect:
                self._suspects.add(prepared["case"]["id"])

    def refuse(self, model: Prepared, cards: Cards, others: Cards) -> list[Prepared]:
        """A case's model did not load on these GPUs. Returns the cases to give up: none, where others may load it."""
        refusals = self._refusals.setdefault(spec(model), set())
        refusals.update(cards or [""])
        rest = [card for card in others if card not in refusals]
        if cards and len(rest) >= self.cards:
            return []
        return self.give_up([each for each in self.waiting if spec(each) == spec(model)])

    def give_up(self, cases: Iterable[Prepared]) -> list[Prepared]:
        """Take these out."""
        losses = list(cases)
        for prepared in losses:
            self.waiting.remove(prepared)
        return losses

    def _suspect(self, prepared: Prepared) -> bool:
        return prepared["case"]["id"] in self._suspects

    def _in_order(self) -> list[Prepared]:
        return sorted(self.waiting, key=self._suspect, reverse=True)
