"""Runs jobs side by side, each on GPUs of its own: processes that fetch, processes that hold a model, a watch over all.

The longest job comes first. A GPU that has nothing to do takes cases of a job that is under way, the one with most of
them left; each process asks for its cases one by one, so that none waits for a slower one. While a model generates, the
next jobs' files are fetched and read ahead, and the GPU's next process imports what it needs. A case that fails, hangs
past its limit or kills its process is failed alone; a new process takes the rest of the job.
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..contract import Prepared, served
from ..environment import available_memory
from ..errors import os_reason
from ..events import ENDS, Emit, Event
from ..store import Store
from ..tasks import Run
from . import scrub
from .cards import Cards, troubles
from .fetching import Fetching, ReadAhead
from .processes import Processes
from .session import Ended, Session
from .stopping import uninterrupted
from .work import Work, spec

FETCHING = 2  # jobs whose files are fetched at once: more would share one line
LOOK_S = 0.5  # between two looks at the GPUs that other runs have
SOON_S = 5.0  # a job that began to be fetched so lately may be ready any moment: a GPU rather waits for it
IDLE_S = 30.0  # after which a GPU that has nothing to do goes back to other runs
SPARE_GB = 3.0  # of GPU memory beside a case's own, for the context of the next process
SPARE_HOST = 4e9  # bytes of memory beside which the next process may import what it needs: that takes 1 to 2 GB


class Supervisor:
    """One run. `emit` gets every event; each case ends in exactly one of events.ENDS."""

    def __init__(self, run: Run, emit: Emit) -> None:
        self._run = run
        self._left = [case["id"] for job in run["jobs"] for case in job["cases"]]
        self._forward = emit
        self._lock = threading.Lock()  # of what is emitted
        folders = {name: run.get(name) for name in ("cache", "store", "models", "serving")}
        self._hidden = scrub.hidden((f"<{name}>", Path(str(folder))) for name, folder in folders.items() if folder)
        self._works = [Work(job) for job in sorted(run["jobs"], key=lambda job: -job["gpus"])]
        self._cards, self._ahead = Cards.of(run), ReadAhead()
        self._changed = threading.Condition(threading.RLock())  # of all below, and of works and cards
        self._sessions: dict[threading.Thread, tuple[tuple[str, ...], Work]] = {}
        self._calling: set[tuple[str, ...]] = set()  # GPUs whose session has loaded its model
        self._logs = tempfile.TemporaryDirectory(prefix="gt-logs-", ignore_cleanup_errors=True)
        self._processes = Processes(Path(self._logs.name))
        self._fetching_since: dict[str, float] = {}
        self._error: Exception | None = None
        self._empty = self._looked = self._stopped = self._said = False

    def run(self) -> bool:
        """All jobs; False when interrupted. What is left then ends as `skipped`."""
        with self._logs:
            try:
                if self._open_store():
                    self._dispatch()
            except KeyboardInterrupt:
                self._stop()
                for name in list(self._left):
                    self._emit({"event": "skipped", "case": name, "reason": "interrupted"})
                return False
            finally:
                self._stop()
        return True

    def _open_store(self) -> bool:
        """False where there is no store to work with: each case has failed then."""
        try:
            self._empty = not any(Store.opened(self._run).folder.iterdir())
        except OSError as error:
            reason = f"the result store cannot be read or filled ({os_reason(error)}); check its disk and its rights"
            for name in list(self._left):
                self._emit({"event": "failed", "case": name, "phase": "fetch", "reason": reason})
            return False
        return True

    def _stop(self) -> None:
        with self._changed:  # a session that begins now sees it, and starts no process that nobody would end
            self._stopped = True
            ending = [child.end for child in self._processes.all]
        ending += [work.fetching.close for work in self._works if work.fetching is not None]
        threads = [threading.Thread(target=end) for end in ending]
        for thread in threads:
            thread.start()
        for thread in [*threads, *list(self._sessions)]:
            thread.join()

    # Which job goes where.

    def _dispatch(self) -> None:
        threading.Thread(target=self._guarded, args=(self._leave_out_busy,), daemon=True).start()
        with self._changed:
            while not all(work.over for work in self._works):
                self._fetch()
                while self._assign():
                    pass
                self._prepare()
                self._changed.wait(LOOK_S)
                if self._error is not None:
                    raise self._error

    def _fetch(self) -> None:
        """Start fetching the next jobs, a few at a time."""
        for work in self._works:
            if sum(each.fetching is not None and not each.fetching.fetched for each in self._works) >= FETCHING:
                return
            if work.fetching is None:
                self._fetching_since[work.job["name"]] = time.monotonic()
                log = Path(self._logs.name, f"{work.job['name']}-fetch.log")
                work.fetching = Fetching(self._run, work.job, log, self._emit, self._ahead, self._notify)
                threading.Thread(target=self._guarded, args=(work.fetching.follow,), daemon=True).start()

    def _guarded(self, action: Callable[..., None], *arguments: Any) -> None:
        """Run in a thread; what it raises, the dispatching raises: nobody would else notice that it has ended."""
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001
            self._error = error
            self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _assign(self) -> bool:
        """Start one session, if there are GPUs and cases for it."""
        if not self._looked:
            return False
        fresh, following = self._following()
        for work in following:
            if work.cards == 0:
                if not any(each.sessions for each in self._works if each.cards == 0):
                    self._start(work, (), work.models[0])
                    return True
                continue
            if self._begin(work):
                return True
            if fresh:  # nobody else takes the GPUs that it waits for
                self._say_waiting()
                return False
        return False

    def _following(self) -> tuple[bool, list[Work]]:
        """The jobs that are next, the longest first, and whether they are ones that nobody makes yet.

        None while a longer one may be ready any moment: the processes are still importing then.
        """
        ready = [work for work in self._works if len(work.waiting) > work.loading]
        fresh = [work for work in ready if not work.sessions]
        before = self._works[: self._works.index(fresh[0])] if fresh else self._works
        if self._more_to_come(before):
            return bool(fresh), []
        return bool(fresh), fresh or sorted(ready, key=lambda each: -each.minutes)

    def _more_to_come(self, works: Sequence[Work]) -> bool:
        """Whether one of these jobs is not ready yet and may be so any moment."""
        soon = time.monotonic() - SOON_S
        return any(
            work.fetching is not None and not work.fetching.over and self._fetching_since[work.job["name"]] > soon
            for work in works
        )

    def _begin(self, work: Work) -> bool:
        """Start a session on GPUs that load one of the models, or give the job up where there can be none."""
        usable = set(self._cards.usable)
        fit = {spec(each): usable - work.refused(each) for each in work.models}
        most = max(map(len, fit.values()))
        if most < work.cards:
            self._give_up_job(work, f"needs {work.cards} GPUs, and {most} are left that may load its model")
            return True
        for model in work.models:
            cards = self._cards.take(work.cards, work.refused(model), self._prepared(work.job["source"]))
            if cards is not None:
                self._start(work, cards, model)
                return True
        return False

    def _give_up_job(self, work: Work, reason: str) -> None:
        for prepared in work.give_up(work.waiting):
            self._emit({"event": "failed", "case": prepared["case"]["id"], "phase": "load", "reason": reason})
        self._close(work)

    def _close(self, work: Work) -> None:
        """End a job that is over: what it has read ahead no longer keeps others from reading."""
        if work.over and work.fetching is not None:
            work.fetching.close()

    def _say_waiting(self) -> None:
        """Once, where nothing can start since other runs have the GPUs."""
        if not self._said and not any(work.sessions for work in self._works):
            self._said = True
            self._emit({"event": "notice", "text": "all GPUs are used by other runs on this machine; waiting for one"})

    def _start(self, work: Work, cards: tuple[str, ...], model: Prepared) -> None:
        work.sessions, work.loading = work.sessions + 1, work.loading + 1
        work.begun = True
        thread = threading.Thread(target=self._guarded, args=(self._session, work, cards, model), daemon=True)
        self._sessions[thread] = cards, work
        thread.start()

    # One session.

    def _session(self, work: Work, cards: tuple[str, ...], model: Prepared) -> None:
        with self._changed:
            if self._stopped:
                return
            child = self._processes.take(work.job, cards)
        task: Any = {"job": {**work.job, "cases": [], "prepared": []}, "model": model}
        task |= {"store": self._run["store"], "nonce": self._run["nonce"], "trace": self._run.get("trace")}
        emit = partial(self._emit_from, self._cards.name(cards))
        take, loaded = partial(self._take, work, cards, model), partial(self._loaded, work, cards)
        session = Session(child, task, emit, take, loaded)
        ended = session.follow()
        if not session.loaded:
            loaded()
        found = self._troubles(cards) if ended.failed or ended.unloaded else {}
        with self._changed:
            self._processes.ended(child)
            if not self._stopped:
                self._settle(work, cards, ended, scrub.log_end(child.log, self._hidden), found)
            work.sessions -= 1
            self._close(work)
            self._calling.discard(cards)
            self._cards.give_back(cards)
            self._sessions.pop(threading.current_thread())
            self._changed.notify_all()

    def _take(
        self, work: Work, cards: tuple[str, ...], model: Prepared, under_way: Sequence[str]
    ) -> tuple[bool, Prepared | None]:
        with self._changed:
            answer = work.take(cards, model, under_way)
            self._changed.notify_all()  # after its last case it is time to prepare what comes next
            return answer

    def _loaded(self, work: Work, cards: tuple[str, ...]) -> None:
        self._ahead.loaded(work.job["name"])
        with self._changed:
            work.loading -= 1
            self._calling.add(cards)
            self._changed.notify_all()

    def _settle(self, work: Work, cards: Sequence[str], ended: Ended, log: list[str], found: Mapping[str, str]) -> None:
        """What is left of a session: failed cases, and cases for another process or for other GPUs.

        `found` says which of its GPUs are no good now: these did not load the model, the others may.
        """
        left_out = [name for name in found if self._leave_out(name, f"is left out: {found[name]}")]
        for event in ended.failed:
            self._emit({**event, "log": log})
        work.put_back(ended.again, suspect=ended.suspects)
        if ended.unloaded is not None:
            model, reason = ended.unloaded
            given_up = work.refuse(model, left_out or cards, self._cards.usable)
            for prepared in given_up:
                name = prepared["case"]["id"]
                self._emit({"event": "failed", "case": name, "phase": "load", "reason": reason, "log": log})
            if not given_up and work.waiting:
                where, reason = self._cards.name(cards), scrub.scrub(reason, self._hidden)
                text = f"GPU {where}: the model of {model['case']['id']} did not load ({reason}); other GPUs go on"
                self._emit({"event": "notice", "text": text})

    def _troubles(self, cards: Sequence[str]) -> Mapping[str, str]:
        """Why GPUs on which something failed should not be used any more. All may be well, and the case at fault."""
        return troubles(cards) if cards and "cards" in self._run else {}

    def _leave_out(self, name: str, text: str) -> bool:
        """Use a GPU no more, and say so; False where it is the last one."""
        if not self._cards.leave_out(name):
            return False
        self._give_up(name)
        self._emit({"event": "notice", "text": f"GPU {self._cards.name([name])} {text}"})
        return True

    def _leave_out_busy(self) -> None:
        """Name the GPUs of which other processes hold memory, and use others, unless the user named these."""
        with self._changed:
            ours = [name for name in self._cards.usable if self._cards.lock(name)]  # a run like this one waits its turn
        found = troubles(ours) if "cards" in self._run else {}
        with self._changed:
            for name, trouble in found.items():
                busy = f"is busy: {trouble}; it is"
                if self._run.get("named") or not self._leave_out(name, f"{busy} left out"):
                    text = f"GPU {self._cards.name([name])} {busy} used all the same"
                    self._emit({"event": "notice", "text": text})
            for cards in self._processes.waiting:
                self._processes.allow(cards, self._room)
            self._cards.give_back(ours)  # none could be used before
            self._looked = True
            self._changed.notify_all()

    # Processes that wait for their task.

    def _prepared(self, source: str) -> list[str]:
        """GPUs whose next process has imported this source."""
        return [name for cards, imported in self._processes.waiting.items() for name in cards if imported == source]

    def _prepare(self) -> None:
        """Start the processes of what comes next, and give GPUs back that have had nothing to do for long.

        They may use no GPU before it was looked at: what they hold would look like another's.
        """
        upcoming = self._upcoming()[len(self._processes.waiting) :]
        slots, later = self._slots()
        for work in upcoming:
            fit = [*slots, *([] if work.begun else later)]
            slot = next((cards for cards in fit if len(cards) == work.cards), None)
            if slot is not None and available_memory() > SPARE_HOST:
                (slots if slot in slots else later).remove(slot)
                self._processes.prepare(work.job, slot)
                if self._looked:
                    self._processes.allow(slot, self._room)
        for name in self._cards.idle:
            if not (upcoming or self._processes.waiting) or self._cards.idle_s(name) > IDLE_S:
                self._give_up(name)

    def _give_up(self, name: str) -> None:
        """Let other runs have a GPU, with nothing of ours on it."""
        self._processes.drop([name])
        self._cards.release([name])

    def _upcoming(self) -> list[Work]:
        """Whose processes come next: jobs that are not begun, then those that could be split further, once for each."""
        empty = self._run["fresh"] or self._empty
        jobs = [work for work in self._works if work.fetching is not None and not work.over and not served(work.job)]
        fresh = [work for work in jobs if not work.begun and (empty or work.missing)]
        split = [work for work in jobs if work.cards and work.begun for _ in work.waiting]
        split += [work for work in fresh if work.cards for _ in work.job["cases"][1:]]
        return fresh + split

    def _slots(self) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        """GPUs that have no process waiting: those that may be next, and those that are at work on their job.

        The first are idle ones, and those whose session has taken its job's last case. The others will take a job that
        nobody has begun; to import takes longer than a short call, so its process starts as soon as a model is loaded.
        """
        idle = [(name,) for name in self._cards.idle if self._cards.idle_s(name) < IDLE_S]
        cpu = [] if any(not cards for cards, _ in self._sessions.values()) else [()]
        ending = [cards for cards, work in self._sessions.values() if not work.waiting]
        slots = [*cpu, *(cards for cards in idle if self._cards.lock(cards[0])), *ending]
        later = [cards for cards, work in self._sessions.values() if cards and cards in self._calling and work.waiting]
        taken = self._processes.waiting
        return [each for each in slots if each not in taken], [each for each in later if each not in taken]

    def _room(self, cards: tuple[str, ...]) -> bool:
        """Whether a second process may make its context on these GPUs, beside the one that is there."""
        running = [work for used, work in self._sessions.values() if used == cards]
        needed = [float(case["needs"].get("vram_gb", math.inf)) for work in running for case in work.job["cases"]]
        return bool(cards) and (not running or max(needed) + SPARE_GB <= self._cards.memory_gb(cards))

    # What is said.

    def _emit_from(self, card: str | None, event: Event) -> None:
        self._emit({**event, "card": card} if event["event"] == "phase" and card is not None else event)

    def _emit(self, event: Event) -> None:
        with uninterrupted(), self._lock:
            if event["event"] in ENDS:
                if event["case"] not in self._left:  # it ended while the run was being stopped: once is enough
                    return
                self._left.remove(event["case"])
            if event["event"] == "failed" or event["event"] == "skipped":
                event = {**event, "reason": scrub.scrub(event["reason"], self._hidden)}  # type: ignore[typeddict-item]
            self._forward(event)
