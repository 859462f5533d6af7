"""Which job gets which GPU: no run, job or GPU waits for ever for another, and one bad GPU is no other's fault."""

from __future__ import annotations

import errno
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gt_runner.events import Event
from gt_runner.store import Store
from gt_runner.supervise import cards as cards_module
from gt_runner.supervise import processes
from gt_runner.supervise.cards import Cards
from gt_runner.supervise.fetching import ReadAhead
from gt_runner.supervise.running import Running
from gt_runner.supervise.session import Outcome
from gt_runner.supervise.supervisor import Supervisor
from gt_runner.supervise.work import Work, spec
from tests.support.runs import Runner, faulty_case

Make = Callable[..., Supervisor]


@pytest.fixture
def cards() -> list[str]:
    """GPUs that no other test has: locks are the machine's."""
    return [f"GPU-{uuid.uuid4()}" for _ in range(4)]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def make(tmp_path: Path, events: list[Event]) -> Make:
    """A supervisor of one job of a case of each of these models, whose files are here; it starts no process."""

    def made(cards: list[str], gpus: int, *models: str, over: bool = True) -> Supervisor:
        run = Runner(tmp_path).on_cards(cards, [faulty_case(model, model=model) for model in models])
        run["jobs"][0]["gpus"] = gpus
        supervisor = Supervisor(cast("Any", run), events.append)
        [work] = supervisor._works
        ready = [{"case": case, "key": "", "fetched": {}, "fetch_seconds": 0.0} for case in work.job["cases"]]
        close = lambda: supervisor._ahead.loaded(work.job["name"])  # noqa: E731
        work.fetching = cast("Any", SimpleNamespace(over=over, ready=ready, missing=True, close=close))
        supervisor._are_cards_checked = True
        return supervisor

    return made


@pytest.mark.parametrize(
    ("error", "finished", "kind", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True, "failed", "No space left on device"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), True, "failed", "Not a directory"),
        (KeyboardInterrupt(), False, "skipped", "interrupted"),  # while a large artifact is taken in
    ],
    ids=["full", "no folder", "interrupted"],
)
def test_a_store_that_cannot_be_opened_ends_each_case_with_the_reason(
    make: Make,
    events: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    finished: bool,
    kind: str,
    reason: str,
) -> None:
    def opened(_: object) -> Store:
        raise error

    monkeypatch.setattr(Store, "opened", opened)
    assert make([], 1, "a", "b").run() is finished
    assert [(event["event"], event["case"]) for event in events] == [(kind, "a"), (kind, "b")]
    assert all(reason in event["reason"] for event in events)


def free(name: str) -> bool:
    """Whether another run could have a GPU."""
    other = Cards([{"id": name}], locked=True)
    locked = other.lock(name)
    other.release([name])
    return locked


@pytest.mark.parametrize("count", [2, 3])
def test_of_two_runs_that_wait_for_several_gpus_none_keeps_those_that_the_other_waits_for(
    cards: list[str], count: int
) -> None:
    first, one, other = (Cards([{"id": name} for name in cards[:count]], locked=True) for _ in range(3))
    assert first.take(count)
    for number, waiting in enumerate([one, other, one][:count]):  # each is there when another GPU becomes free
        first.release([cards[number]])
        got = waiting.take(count)
    assert got == tuple(cards[:count])
    assert not any(free(name) for name in cards[:count])


def test_a_gpu_that_became_free_and_has_nothing_to_do_goes_back_to_other_runs(
    make: Make, cards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its job's files are downloaded, for hours perhaps."""
    supervisor = make(cards[:1], 1, "a", over=False)
    ended: list[bool] = []
    child = SimpleNamespace(send=lambda _: None, end=lambda: ended.append(True))
    monkeypatch.setattr(processes, "worker", lambda *_: child)
    supervisor._prepare()
    assert (free(cards[0]), ended) == (False, [])  # its next process imports
    monkeypatch.setattr(cards_module, "IDLE_S", 0.05)
    time.sleep(0.1)
    supervisor._prepare()
    assert (free(cards[0]), ended) == (True, [True])
    supervisor._prepare()
    assert free(cards[0])


@pytest.mark.parametrize(
    ("gpus", "left", "refused", "most"), [(2, 1, [], 1), (1, 2, [0, 1], 0), (3, 4, [0, 1], 2)], ids=str
)
def test_a_job_that_no_gpus_are_left_for_fails_with_their_number_and_lets_others_read_ahead(
    make: Make, cards: list[str], events: list[Event], gpus: int, left: int, refused: list[int], most: int
) -> None:
    supervisor = make(cards[:left], gpus, "a")
    [work] = supervisor._works
    supervisor._ahead = ReadAhead(half=10)
    supervisor._ahead.may_read(work.job["name"], 10)
    supervisor._ahead.has_read(work.job["name"])
    work._refusals = {spec(work.waiting[0]): {cards[number] for number in refused}}
    assert supervisor._assign()
    [event] = events
    assert event["event"] == "failed"
    assert event["reason"] == f"needs {gpus} GPUs, and {most} are left that may load its model"
    next_job = threading.Thread(target=supervisor._ahead.may_read, args=("next", 10), daemon=True)
    next_job.start()
    next_job.join(5)
    assert not next_job.is_alive()


@pytest.mark.parametrize(
    ("a", "b", "model", "used"),
    [([0], [1], "a", [1, 2]), ([1], [0], "a", [0, 2]), ([0, 1, 2], [1], "b", [0, 2]), ([], [0, 1], "a", [0, 1])],
)
def test_each_model_is_loaded_on_gpus_that_may_all_load_it(
    make: Make,
    cards: list[str],
    a: list[int],
    b: list[int],
    model: str,
    used: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor = make(cards, 2, "a", "b")
    [work] = supervisor._works
    for each, numbers in zip(work.waiting, (a, b), strict=True):
        work._refusals[spec(each)] = {cards[number] for number in numbers}
    started: list[Any] = []
    monkeypatch.setattr(supervisor, "_start", lambda _, on, prepared: started.append((on, prepared["case"]["id"])))
    assert supervisor._assign()
    assert started == [(tuple(cards[number] for number in used), model)]


@pytest.mark.parametrize(
    ("left", "begun", "prepared"),
    [((1, 2), True, 0), ((2, 2), True, None), ((3, 2), True, None), ((3, 2), False, 0), ((0, 1), True, 0)],
)
def test_a_job_of_which_more_is_left_comes_next_on_the_gpu_of_another(
    make: Make, cards: list[str], left: tuple[int, int], begun: bool, prepared: int | None
) -> None:
    """The first GPU is at work on the first job; the second one's is begun on another GPU, or by nobody."""
    supervisor, names = make(cards[:2], 1, "a", "b"), iter("cdefgh")
    [work] = supervisor._works
    works = [Work(work.job), Work(work.job)]
    for each, count in zip(works, left, strict=True):
        ready = [{**work.waiting[0], "case": faulty_case(next(names))} for _ in range(count)]
        each.fetching = cast("Any", SimpleNamespace(over=True, ready=ready))
    works[1].begun = begun
    for number, each in enumerate(works[: 1 + begun]):
        [card] = supervisor._cards.take(1) or []
        assert card == cards[number]
        child = cast("Any", SimpleNamespace())
        supervisor._on_gpus.sessions.append(Running(each, (card,), work.waiting[0], child, loaded=True))
    if not begun:
        assert supervisor._cards.take(1)
    assert supervisor._on_gpus.slot(works[1]) == (None if prepared is None else (cards[prepared],))


@pytest.mark.parametrize(("gpus", "bad"), [(1, [0]), (2, [0]), (2, [1]), (2, [0, 1])])
def test_a_gpu_that_is_no_good_is_left_out_and_the_others_may_load_the_model(
    make: Make, cards: list[str], events: list[Event], gpus: int, bad: list[int]
) -> None:
    supervisor = make(cards, gpus, "a")
    [work] = supervisor._works
    used = supervisor._cards.take(gpus)
    assert used is not None
    ended: list[bool] = []
    child = cast("Any", SimpleNamespace(log=Path("/dev/null")))
    child_of_next = cast("Any", SimpleNamespace(end=lambda: ended.append(True)))
    supervisor._processes.spares[used] = processes.Spare("faulty", child_of_next)
    found = {cards[number]: "the driver does not answer for it" for number in bad}
    running = Running(work, used, work.waiting[0], child)
    supervisor._settle(running, Outcome(unloaded=(work.waiting[0], "CUDA error")), found, crowded=False)
    texts = [event["text"] for event in events if event["event"] == "notice"]
    assert texts[:-1] == [f"GPU {number} is left out: the driver does not answer for it" for number in bad]
    assert "the model of a did not load (CUDA error); other GPUs go on" in texts[-1]
    assert len(events) == len(texts)  # no case failed
    assert work.refused(work.waiting[0]) == set(found)
    assert set(supervisor._cards.usable) == set(cards) - set(found)
    assert all(free(name) for name in found)
    assert ended == [True]
