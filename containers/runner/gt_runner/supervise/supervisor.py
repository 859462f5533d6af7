"""Runs jobs side by side, each on GPUs or a core of its own: processes that fetch, that hold a model, a watch over all.

The longest job comes first. A GPU that has nothing to do takes cases of a job that is under way, the one with most of
them left; each process asks for its cases one by one, so that none waits for a slower one. While a model generates, the
next jobs' files are fetched and read ahead, and the GPU's next process imports what it needs; where a GPU has memory
for both, it also loads the next model beside the last case of the present one. A case that fails, hangs past its limit
or kills its process is failed alone; a new process takes the rest of the job.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..contract import Prepared, served
from ..errors import os_reason
from ..events import OUT_OF_MEMORY, Emit, Event
from ..store import Store
from ..tasks import Run, WorkTask
from .caller import Caller
from .cards import Cards, troubles
from .fetching import Fetching, ReadAhead
from .occupancy import Occupancy
from .processes import Processes
from .running import Running
from .session import Outcome, Session
from .stopping import uninterrupted
from .work import Work, spec

FETCHING = 2  # jobs whose files are fetched at once: more would share one line
LOOK_S = 0.5  # between two looks at the GPUs that other runs have
SOON_S = 5.0  # a job that began to be fetched so lately may be ready any moment: a GPU rather waits for it


class Supervisor:
    """One run. `emit` gets every event; each case ends in exactly one of events.ENDS."""

    def __init__(self, run: Run, emit: Emit) -> None:
        self._run = run
        self._caller = Caller(run, emit)
        self._works = [Work(job) for job in sorted(run["jobs"], key=lambda job: -job["gpus"])]
        self._cards, self._ahead = Cards.of(run), ReadAhead()
        self._change = threading.Condition(threading.RLock())  # of all below, and of works and cards
        self._logs = tempfile.TemporaryDirectory(prefix="gt-logs-", ignore_cleanup_errors=True)
        self._processes = Processes(Path(self._logs.name))
        self._on_gpus = Occupancy(self._cards, self._processes)
        self._fetching_since: dict[str, float] = {}
        self._error: Exception | None = None
        self._empty = self._stopped = False
        self._are_cards_checked = self._is_wait_told = False

    def run(self) -> bool:
        """All jobs; False when interrupted. What is left then ends as `skipped`."""
        with self._logs:
            try:
                if self._open_store():
                    self._dispatch()
            except KeyboardInterrupt:
                self._stop()
                for name in self._caller.pending:
                    self._caller.emit({"event": "skipped", "case": name, "reason": "interrupted"})
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
            for name in self._caller.pending:
                self._caller.fail(name, "fetch", reason)
            return False
        return True

    def _stop(self) -> None:
        with self._change:
            self._stopped = True
            ending = [child.end for child in self._processes.all]
            self._change.notify_all()
        ending += [work.fetching.close for work in self._works if work.fetching is not None]
        threads = [threading.Thread(target=end) for end in ending]
        for thread in threads:
            thread.start()
        for thread in [*threads, *(each.thread for each in list(self._on_gpus.sessions) if each.thread is not None)]:
            thread.join()

    # Which job goes where.

    def _dispatch(self) -> None:
        threading.Thread(target=self._guarded, args=(self._leave_out_busy,), daemon=True).start()
        with self._change:
            while not all(work.over for work in self._works):
                self._fetch()
                while self._assign():
                    pass
                self._prepare()
                self._change.wait(LOOK_S)
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
                work.fetching = Fetching(self._run, work.job, log, self._caller.emit, self._ahead, self._notify)
                threading.Thread(target=self._guarded, args=(work.fetching.follow,), daemon=True).start()

    def _guarded(self, action: Callable[..., None], *arguments: Any) -> None:
        """Run in a thread; what it raises, the dispatching raises: nobody would else notice that it has ended."""
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001
            self._error = error
            self._notify()

    def _notify(self) -> None:
        with self._change:
            self._change.notify_all()

    def _assign(self) -> bool:
        """Start one session, if there are GPUs and cases for it."""
        if not self._are_cards_checked:
            return False
        fresh, following = self._following()
        for work in following:
            if work.cards == 0:
                if not work.sessions and self._on_gpus.cpu_room(work):
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
        spares = self._processes.spares.items()
        prepared = [name for cards, spare in spares for name in cards if spare.source == work.job["source"]]
        for model in work.models:
            cards = self._cards.take(work.cards, work.refused(model), prepared)
            if cards is not None:
                self._start(work, cards, model)
                return True
        ahead = self._on_gpus.ahead(work)
        if ahead is None:
            return False
        before, model = ahead
        self._start(work, before.cards, model, behind=before)
        return True

    def _give_up_job(self, work: Work, reason: str) -> None:
        for prepared in work.give_up(work.waiting):
            self._caller.fail(prepared["case"]["id"], "load", reason)
        self._close(work)

    def _close(self, work: Work) -> None:
        """End a job that is over: what it has read ahead no longer keeps others from reading."""
        if work.over and work.fetching is not None:
            work.fetching.close()

    def _say_waiting(self) -> None:
        """Once, where nothing can start since other runs have the GPUs."""
        if not self._is_wait_told and not any(work.sessions for work in self._works):
            self._is_wait_told = True
            self._caller.note("all GPUs are used by other runs on this machine; waiting for one")

    def _start(self, work: Work, cards: tuple[str, ...], model: Prepared, behind: Running | None = None) -> None:
        work.sessions, work.loading = work.sessions + 1, work.loading + 1
        work.begun = True
        running = Running(work, cards, model, self._processes.take(work.job, cards), behind)
        with uninterrupted():
            self._on_gpus.sessions.append(running)
            running.thread = threading.Thread(target=self._guarded, args=(self._session, running), daemon=True)
            running.thread.start()

    # One session.

    def _session(self, running: Running) -> None:
        work, cards = running.work, running.cards
        task: WorkTask = {
            "job": {**work.job, "cases": [], "prepared": []},
            "model": running.model,
            "store": self._run["store"],
            "nonce": self._run["nonce"],
            "trace": self._run.get("trace"),
        }
        emit = partial(self._emit_from, self._cards.name(cards))
        take, loaded = partial(self._take, running), partial(self._loaded, running)
        outcome = Session(running.child, task, emit, take, loaded).follow()
        if not running.loaded:
            loaded()
        failed = bool(outcome.failed or outcome.unloaded)
        crowded = running.behind is not None or self._on_gpus.shared(cards)
        reasons = self._troubles(running) if failed and not running.early else {}
        with self._change:
            self._processes.ended(running.child)
            if failed and crowded:
                self._on_gpus.alone.update(cards)
            if not self._stopped and not running.early:
                self._settle(running, outcome, reasons, crowded=crowded)
            running.leaving = True
            work.sessions -= 1
            self._close(work)
            self._on_gpus.sessions.remove(running)
            if all(each.cards != cards for each in self._on_gpus.sessions):
                self._cards.give_back(cards)
            self._change.notify_all()

    def _emit_from(self, card: str | None, event: Event) -> None:
        if card is not None and (event["event"] == "phase" or event["event"] == "loaded"):
            event["card"] = card
        self._caller.emit(event)

    def _take(self, running: Running, under_way: Sequence[str]) -> tuple[bool, Prepared | None]:
        with self._change:
            self._change.wait_for(lambda: running.may_call or running.child.over or self._stopped)
            if running.early and running.child.over:  # it died, or was ended, while it waited
                return True, None
            answered, prepared = running.work.take(running.cards, running.model, under_way)
            running.begun |= prepared is not None
            running.leaving |= answered and prepared is None
            self._change.notify_all()  # after its last case it is time to prepare what comes next
            return answered, prepared

    def _loaded(self, running: Running) -> None:
        self._ahead.loaded(running.work.job["name"])
        with self._change:
            running.work.loading -= 1
            running.loaded = True
            self._change.notify_all()

    def _settle(self, running: Running, outcome: Outcome, reasons: Mapping[str, str], *, crowded: bool) -> None:
        """What is left of a session: failed cases, and cases for another process or for other GPUs.

        `reasons` say which of its GPUs are no good now: these did not load the model, the others may. A case that had
        not enough memory on a crowded GPU, one that held another model of ours, is made again.
        """
        work, cards, log = running.work, running.cards, self._caller.log_end(running.child.log)
        left_out = [name for name in reasons if self._leave_out(name, f"is left out: {reasons[name]}")]
        for prepared, event in outcome.failed:
            if crowded and event["reason"].startswith(OUT_OF_MEMORY):
                work.put_back([prepared])
            else:
                self._caller.emit({**event, "log": log})
        work.put_back(outcome.again, suspect=outcome.suspects)
        if outcome.unloaded is not None:
            model, reason = outcome.unloaded
            losses = work.refuse(model, left_out or cards, self._cards.usable)
            for prepared in losses:
                self._caller.fail(prepared["case"]["id"], "load", reason, log)
            if not losses and work.waiting:
                where, reason = self._cards.name(cards), self._caller.scrub(reason)
                name = model["case"]["id"]
                self._caller.note(f"GPU {where}: the model of {name} did not load ({reason}); other GPUs go on")

    def _troubles(self, running: Running) -> Mapping[str, str]:
        """Why GPUs on which something failed should not be used any more. All may be well, and the case at fault.

        Nothing of ours may be on them then: it would look like another's. What waits there ends before.
        """
        cards = running.cards
        with self._change:
            if not cards or "cards" not in self._run or running.leaving:  # it failed in saving: others call there now
                return {}
            self._on_gpus.inquiries.update(cards)
            self._processes.drop(cards)
            behind = [each.child for each in self._on_gpus.sessions if each.behind is running]
        for child in behind:
            child.end()
        with self._change:
            self._change.notify_all()
            self._change.wait_for(lambda: self._stopped or not self._on_gpus.shared(cards))
        reasons = troubles(cards)
        with self._change:
            self._on_gpus.inquiries.difference_update(cards)
        return reasons

    def _leave_out(self, name: str, text: str) -> bool:
        """Use a GPU no more, and say so; False where it is the last one."""
        if not self._cards.leave_out(name):
            return False
        self._give_up(name)
        self._caller.note(f"GPU {self._cards.name([name])} {text}")
        return True

    def _leave_out_busy(self) -> None:
        """Name the GPUs of which other processes hold memory, and use others, unless the user named these."""
        with self._change:
            ours = [name for name in self._cards.usable if self._cards.lock(name)]  # a run like this one waits its turn
        reasons = troubles(ours) if "cards" in self._run else {}
        with self._change:
            for name, reason in reasons.items():
                busy = f"is busy: {reason}; it is"
                if self._run.get("insist") or not self._leave_out(name, f"{busy} left out"):
                    self._caller.note(f"GPU {self._cards.name([name])} {busy} used all the same")
            for cards in self._processes.spares:
                self._processes.allow(cards, self._on_gpus.room(cards))
            self._cards.give_back(ours)  # none could be used before
            self._are_cards_checked = True
            self._change.notify_all()

    # Processes that wait for their task.

    def _prepare(self) -> None:
        """Start the processes of what comes next, and give GPUs back that have had nothing to do for long.

        They may use no GPU before it was looked at: what they hold would look like another's.
        """
        upcoming = self._upcoming()[len(self._processes.spares) :]
        for work in upcoming:
            slot = self._on_gpus.slot(work)
            if slot is not None and self._on_gpus.host_room():
                self._processes.prepare(work.job, slot)
                if self._are_cards_checked:
                    self._processes.allow(slot, self._on_gpus.room(slot))
        for name in self._cards.idle:
            if not (upcoming or self._processes.spares) or self._cards.idle_for_long(name):
                self._give_up(name)

    def _give_up(self, name: str) -> None:
        """Let other runs have a GPU, with nothing of ours on it."""
        self._processes.drop([name])
        self._cards.release([name])

    def _upcoming(self) -> list[Work]:
        """Whose processes come next: jobs that are not begun, then those that could be split further.

        Once for each process of theirs; of one job, as many as there are GPUs are enough, whatever waits.
        """
        empty, most = self._run["fresh"] or self._empty, len(self._cards.usable) + 1  # one may wait for the CPU
        jobs = [work for work in self._works if work.fetching is not None and not work.over and not served(work.job)]
        fresh = [work for work in jobs if not work.begun and (empty or work.missing)]
        split = [work for work in jobs if work.cards and work.begun for _ in work.waiting[:most]]
        split += [work for work in fresh if work.cards for _ in work.job["cases"][1:most]]
        return fresh + split
