"""The promises of a run on a machine with several GPUs.

The driver is a stand-in, and the source only looks which GPU it has.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from gt_runner.supervise.supervisor import SOON_S, Supervisor
from tests.support.runs import Runner, faulty_case, outcomes

if TYPE_CHECKING:
    from gt_runner.tasks import Run

Call = tuple[str, str, float, float]  # case, GPUs, start, end


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A runner whose source writes down what it is called for, and on which GPU."""
    notes = {"FAULTY_LOADS": "loads", "FAULTY_CALLS": "calls", "FAULTY_STARTS": "starts"}
    (tmp_path / "bin").mkdir()
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Runner(tmp_path, {"PATH": path, **{name: str(tmp_path / file) for name, file in notes.items()}})


@pytest.fixture
def cards() -> list[str]:
    """Two GPUs that no other test has: locks are the machine's."""
    return [f"GPU-{uuid.uuid4()}" for _ in range(2)]


def drive(runner: Runner, used: dict[str, int], processes: Iterable[str] = ()) -> None:
    """A driver that knows these GPUs, with MiB in use, and these lines for processes that hold memory."""
    gpus = "\n".join(f"{card}, {memory}" for card, memory in used.items())
    tool = runner.folder / "bin" / "nvidia-smi"
    apps = "\n".join(processes)
    tool.write_text(
        f"#!/bin/sh\ncase $1 in\n*compute-apps*) printf '%s\\n' '{apps}' ;;\n*) printf '%s\\n' '{gpus}' ;;\nesac\n"
    )
    tool.chmod(0o755)


def events(out: str, kind: str) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, out.splitlines()) if event["event"] == kind]


def run(runner: Runner, spec: dict[str, Any], status: int = 0) -> tuple[dict[str, dict[str, Any]], str]:
    """The end of each case, and all that was printed for programs."""
    process = runner.start(spec)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    return outcomes(out), out


def calls(runner: Runner) -> list[Call]:
    lines = (runner.folder / "calls").read_text().splitlines()
    return [(name, gpu, start, end) for name, gpu, start, end in map(json.loads, lines)]


def files(ended: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: event["record"]["files"] for name, event in ended.items()}


def overlap(one: Call, other: Call) -> bool:
    return one[2] < other[3] and other[2] < one[3]


def test_a_job_is_split_over_idle_gpus_and_its_bytes_are_the_same_on_any(runner: Runner, cards: list[str]) -> None:
    cases = [faulty_case(f"case_{n}", "slow", seed=n) for n in range(6)]
    both, out = run(runner, runner.on_cards(cards, cases))
    made = calls(runner)
    assert {gpu for _, gpu, _, _ in made} == set(cards)
    assert any(overlap(one, other) for one in made for other in made if one[1] != other[1])
    assert not any(overlap(one, other) for one in made for other in made if one is not other and one[1] == other[1])
    assert len((runner.folder / "loads").read_text().split()) == 2, "a GPU that has the model goes on with it"
    assert {event["card"] for event in events(out, "phase")} == {"0", "1"}
    one, _ = run(runner, runner.on_cards(cards[1:], cases[::-1], fresh=True, nonce="again"))
    assert files(one) == files(both)


def test_each_job_has_a_gpu_and_one_that_needs_two_has_both(runner: Runner, cards: list[str]) -> None:
    spec = runner.on_cards(cards, *([faulty_case(name, "slow", seconds=8)] for name in ("one", "two")))
    spec["jobs"] += runner.on_cards(cards, [faulty_case("pair")])["jobs"]
    spec["jobs"][2] |= {"gpus": 2, "name": "pair"}
    run(runner, spec)
    made = {name: (name, gpu, start, end) for name, gpu, start, end in calls(runner)}
    assert set(made["pair"][1].split(",")) == set(cards)
    assert not overlap(made["pair"], made["one"])
    assert not overlap(made["pair"], made["two"])
    assert all(made[name][1] in cards for name in ("one", "two"))


def test_the_longest_job_comes_first_if_it_is_ready_soon(runner: Runner, cards: list[str]) -> None:
    """One that has been fetched for long does not keep a GPU from a shorter one."""
    supervisor = Supervisor(
        cast("Run", runner.on_cards(cards[:1], [faulty_case("long")], [faulty_case("short")])), print
    )
    long, short = supervisor._works
    for work, over in ((long, False), (short, True)):
        ready = [{"case": case, "key": "", "fetched": {}, "fetch_seconds": 0.0} for case in work.job["cases"]]
        work.fetching = cast("Any", SimpleNamespace(over=over, ready=ready))
        supervisor._fetching_since[work.job["name"]] = time.monotonic()
    assert supervisor._following() == (True, [])
    supervisor._fetching_since[long.job["name"]] -= SOON_S
    assert supervisor._following() == (True, [short])
    cast("Any", long.fetching).over = True
    assert supervisor._following() == (True, [long, short])


def test_two_runs_at_once_take_turns_on_each_gpu(runner: Runner, cards: list[str], tmp_path: Path) -> None:
    """By a lock: their calls on one GPU never overlap, though neither knows of the other."""
    runners = [Runner(tmp_path / name, runner.env) for name in ("a", "b")]
    for each in runners:
        each.folder.mkdir()
    jobs = [[[faulty_case(f"{name}_{n}", "slow", seed=n, model=f"m{n % 2}") for n in range(4)]] for name in ("a", "b")]
    started = [each.start(each.on_cards(cards, *cases)) for each, cases in zip(runners, jobs, strict=True)]
    ended = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    made = calls(runner)
    assert len(made) == 8
    clashes = [(one, other) for one in made for other in made if one is not other and one[1] == other[1]]
    assert not [pair for pair in clashes if overlap(*pair)]


def test_a_gpu_that_is_lost_fails_its_case_and_the_others_are_made_elsewhere(runner: Runner, cards: list[str]) -> None:
    (runner.folder / "lost").mkdir()
    lost = str(runner.folder / "lost")
    cases = [faulty_case(f"case_{n}", "lose card" if n == 0 else "slow", seed=n, lost=lost) for n in range(5)]
    ended, out = run(runner, runner.on_cards(cards, cases), status=1)
    assert {name for name, event in ended.items() if event["event"] == "failed"} == {"case_0"}
    assert "CUDA error: unspecified launch failure" in ended["case_0"]["reason"]
    [notice] = events(out, "notice")
    assert "did not load" in notice["text"]
    assert "other GPUs go on" in notice["text"]


def test_a_model_that_loads_on_no_gpu_fails_its_cases_with_the_reason(runner: Runner, cards: list[str]) -> None:
    broken = [faulty_case("one", "load", model="broken"), faulty_case("two", "load", model="broken")]
    ended, _ = run(runner, runner.on_cards(cards, [*broken, faulty_case("three")]), status=1)
    assert {name: event["event"] for name, event in ended.items()} == {
        "one": "failed",
        "two": "failed",
        "three": "done",
    }
    assert "weights are broken on purpose" in ended["one"]["reason"]


def test_a_gpu_without_memory_left_fails_the_case_and_is_used_no_more_where_another_process_has_it(
    runner: Runner, cards: list[str]
) -> None:
    drive(runner, dict.fromkeys(cards, 500))
    (runner.folder / "lost").mkdir()
    cases = [faulty_case(f"case_{n}", "slow", seed=n) for n in range(4)]
    cases.insert(0, faulty_case("full", "oom", seconds=3))  # until the driver tells of the other process
    spec = runner.on_cards(cards, cases)
    process = runner.start(spec)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        event = json.loads(line)
        if event["event"] == "phase" and event["case"] == "full" and event["phase"] == "generate":
            victim = cards[int(event["card"])]
            drive(runner, {card: 70000 if card == victim else 500 for card in cards}, [f"{victim}, 4711, 69500"])
    process.wait(60)
    ended = outcomes("".join(lines))
    assert {name for name, event in ended.items() if event["event"] == "failed"} == {"full"}
    assert ended["full"]["reason"].startswith("out of GPU memory: CUDA out of memory")
    [notice] = events("".join(lines), "notice")
    assert notice["text"] == f"GPU {cards.index(victim)} is left out: process 4711 holds 72.9 GB of it"
    assert {gpu for _, gpu, _, _ in calls(runner)[1:]} == set(cards) - {victim}


@pytest.mark.parametrize(
    ("busy", "insist", "used", "said"),
    [
        ([0], False, {1}, ["GPU 0 is busy: process 12 holds 31.5 GB of it; it is left out"]),
        ([0], True, {0, 1}, ["GPU 0 is busy: process 12 holds 31.5 GB of it; it is used all the same"]),
        ([0, 1], False, {0, 1}, None),
    ],
)
def test_busy_gpus_are_named_and_left_out_while_there_are_others(
    runner: Runner, cards: list[str], busy: list[int], insist: bool, used: set[int], said: list[str] | None
) -> None:
    held = [cards[number] for number in busy]
    drive(runner, {card: 30000 if card in held else 4 for card in cards}, [f"{card}, 12, 30000" for card in held])
    cases = [faulty_case(f"case_{n}", "slow", seed=n) for n in range(4)]
    _, out = run(runner, runner.on_cards(cards, cases, insist=insist))
    texts = [event["text"] for event in events(out, "notice")]
    assert len(texts) == len(busy)
    assert said is None or texts == said
    assert {gpu for _, gpu, _, _ in calls(runner)} <= {cards[number] for number in used | (set() if said else {0, 1})}
    assert {gpu for _, gpu, _, _ in calls(runner)} == {cards[number] for number in used} or said is None


def test_a_rerun_with_nothing_changed_starts_no_process_for_a_model(runner: Runner, cards: list[str]) -> None:
    cases = [faulty_case("one"), faulty_case("two")]
    run(runner, runner.on_cards(cards, cases))
    (runner.folder / "starts").unlink()
    again, _ = run(runner, runner.on_cards(cards, cases))
    assert {event["event"] for event in again.values()} == {"reused"}
    starts = (runner.folder / "starts").read_text()
    assert " fetch " in starts
    assert " work " not in starts


def test_the_next_jobs_process_starts_long_before_the_present_one_is_over(runner: Runner, cards: list[str]) -> None:
    """Importing takes longer than a short call: with the last case it would begin too late."""
    jobs = [
        [faulty_case(f"{model}_{number}", "slow", seed=number, seconds=2, model=model) for number in range(3)]
        for model in ("one", "two")
    ]
    process = runner.start(runner.on_cards(cards[:1], *jobs))
    assert process.stdout is not None
    processes = [
        (runner.folder / "starts").read_text().count(" work ")
        for event in map(json.loads, process.stdout)
        if event["event"] == "phase" and event["phase"] == "generate"
    ]
    assert process.wait(60) == 0
    assert processes[2:] == [2] * 4


@pytest.mark.parametrize(("vram_gb", "early"), [(38, True), (39, False), (None, False)])
def test_the_next_model_is_loaded_beside_the_last_case_where_there_is_memory_for_both(
    runner: Runner, cards: list[str], vram_gb: float | None, early: bool
) -> None:
    """Two models of 38 GB and a context are what 80 GB hold."""
    jobs = [
        [faulty_case(f"{model}_{number}", "slow", seed=number, seconds=4, model=model) for number in range(2)]
        for model in ("one", "two")
    ]
    for case in (case for job in jobs for case in job):
        case["needs"] |= {} if vram_gb is None else {"vram_gb": vram_gb}
    ended, out = run(runner, runner.on_cards(cards[:1], *jobs))
    order = [(event["event"], event["case"]) for event in map(json.loads, out.splitlines()) if "case" in event]
    first = min(order.index(("loaded", name)) for name in ("one_0", "two_0"))
    second = max(order.index(("loaded", name)) for name in ("one_0", "two_0"))
    done = [place for place, (event, _) in enumerate(order) if event == "done"]
    assert first < done[0]
    assert (second < done[1]) is early
    made = calls(runner)
    assert len(made) == len(ended) == 4
    assert not any(overlap(one, other) for one in made for other in made if one is not other)
    assert len((runner.folder / "loads").read_text().split()) == 2


def test_a_case_without_memory_beside_the_next_model_is_made_again_alone(runner: Runner, cards: list[str]) -> None:
    flag = str(runner.folder / "flag")
    crowded = faulty_case("crowded", "oom once", flag=flag, seconds=4)
    jobs = [[faulty_case("before"), crowded], [faulty_case("next", "slow", model="next")]]
    for case in (case for job in jobs for case in job):
        case["needs"] |= {"vram_gb": 20, "minutes": 9 if case in jobs[0] else 1}
    ended, out = run(runner, runner.on_cards(cards[:1], *jobs))
    assert {name: event["event"] for name, event in ended.items()} == dict.fromkeys(
        ("before", "crowded", "next"), "done"
    )
    assert ended["crowded"]["record"]["process"]["id"] != ended["before"]["record"]["process"]["id"]
    assert not events(out, "failed")
    assert not events(out, "notice")


@pytest.mark.parametrize("vram_gb", [20, None])
def test_a_case_that_fails_costs_no_gpu_though_our_next_process_is_there(
    runner: Runner, cards: list[str], vram_gb: float | None
) -> None:
    """The driver tells of each process of ours, as of another's."""
    flag = runner.folder / "flag"
    drive(runner, dict.fromkeys(cards, 4))
    tool = runner.folder / "bin" / "nvidia-smi"
    ours = f"""[ -e {flag} ] && for process in $(pgrep -f 'gt_runner work'); do
        card=$(tr '\\0' '\\n' < /proc/$process/environ | sed -n 's/^CUDA_VISIBLE_DEVICES=//p')
        echo "$card, $process, 500"
    done"""
    tool.write_text(tool.read_text().replace("printf '%s\\n' '' ;;", f"{ours} ;;"))
    assert "pgrep" in tool.read_text()
    jobs = [
        [faulty_case(f"first_{n}", model=f"m{n}"), faulty_case(f"full_{n}", "oom", seconds=4, model=f"m{n}")]
        for n in range(2)
    ]
    jobs += [[faulty_case(f"next_{n}", "slow", seconds=3, model=f"n{n}")] for n in range(2)]
    for case in (case for job in jobs for case in job):
        case["needs"] |= {"minutes": 1 if "next" in case["id"] else 9} | (
            {} if vram_gb is None else {"vram_gb": vram_gb}
        )
    process = runner.start(runner.on_cards(cards, *jobs))
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if json.loads(line).get("phase") == "generate":
            flag.touch()  # from now on processes have a context
    assert process.wait(60) == 1
    out = "".join(lines)
    assert {name for name, event in outcomes(out).items() if event["event"] == "failed"} == {"full_0", "full_1"}
    assert not events(out, "notice")
    assert len({event["card"] for event in events(out, "loaded") if "next" in event["case"]}) == 2


def test_a_case_is_saved_while_the_next_one_generates(runner: Runner, cards: list[str]) -> None:
    cases = [faulty_case("large", side=3000), faulty_case("next", "slow")]
    _, out = run(runner, runner.on_cards(cards[:1], cases))
    order = [
        (event["event"], event["case"], event.get("phase"))
        for event in map(json.loads, out.splitlines())
        if "case" in event
    ]
    assert order.index(("phase", "next", "generate")) < order.index(("done", "large", None))


def test_a_case_that_cannot_be_saved_fails_alone_and_its_process_goes_on(runner: Runner) -> None:
    odd = faulty_case("odd", width=99, height=7)  # the frames have another size, which is seen when they are saved
    ended = runner.run([odd, faulty_case("two"), faulty_case("three")], status=1)
    assert {name: event["event"] for name, event in ended.items()} == {"odd": "failed", "two": "done", "three": "done"}
    assert ended["odd"]["phase"] == "save"
    assert ended["two"]["record"]["process"]["id"] == ended["three"]["record"]["process"]["id"]
