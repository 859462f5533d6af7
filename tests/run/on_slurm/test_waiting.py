"""Waiting for tasks, with Slurm's answers given by the test: what comes late, never or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci.errors import SlurmError
from ci.run.on_slurm import commands, waiting
from ci.run.on_slurm.commands import State
from ci.run.on_slurm.tasks import Task, written
from ci.run.on_slurm.waiting import REASONS, Screen, Wait
from ci.run.signals import Stop

NODE = {"event": "node", "node": "na", "machine": {"kind": "cpu", "gpu_name": ""}, "time": "2026-01-01T00:00:00+00:00"}


SKIPPED = {"event": "skipped", "case": "b", "reason": "interrupted"}


@dataclass
class Slurm:
    """Gives one answer after the other, the last one again and again; an answer may write what a task would."""

    answers: list[Any]
    refusal: Exception | None = None  # of scancel
    cancellations: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def states(self, _: object) -> Mapping[str, State]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        states: Mapping[str, State] = answer() if callable(answer) else answer
        return states

    def cancel(self, tasks: Iterator[str]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.cancellations += tasks


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Wait for one task of two cases."""

    def run(
        *answers: Any, stopped: bool = False, events: list[str] | None = None, cancel: Exception | None = None
    ) -> tuple[dict[str, Any], Slurm, Task]:
        slurm, events = Slurm(list(answers), cancel), [] if events is None else events
        monkeypatch.setattr(commands, "states", slurm.states)
        monkeypatch.setattr(commands, "cancel", slurm.cancel)
        for name in ("LOOK_S", "ASK_S", "SELDOM_S"):
            monkeypatch.setattr(waiting, name, 0.001)
        monkeypatch.setattr(waiting, "LATE_S", 0.2)
        monkeypatch.setattr(waiting, "STOP_S", 0.5)
        task = Task(tmp_path, 0, "7", ["a", "b"])
        screen = Screen(
            lambda event: events.append(f"{event['event']} {event.get('case')}"), slurm.lines.append, lambda _: None
        )
        outcomes: dict[str, Any] = dict(Wait([task], screen, Stop(stopped), {str(tmp_path): "<cache>"}).run())
        return outcomes, slurm, task

    return run


def state(name: str, reason: str = "None", node: str = "") -> dict[str, State]:
    return {"7_0": State(name, reason, node)}


def writes(folder: Path, *events: dict[str, Any], life: int = 0, then: str = "RUNNING") -> Any:
    def answer() -> dict[str, State]:
        with (folder / f"0.{life}.jsonl").open("a") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)
        return state(then, node="na")

    return answer


def done(case: str) -> dict[str, Any]:
    return {"event": "done", "case": case, "record": {}}


def test_a_task_is_over_when_all_its_cases_are_whatever_slurm_says(wait: Any, tmp_path: Path) -> None:
    outcomes, _, task = wait(writes(tmp_path, NODE, done("a"), done("b")))
    assert {name: event["event"] for name, event in outcomes.items()} == {"a": "done", "b": "done"}
    assert task.hosts["na"].cases == ["a", "b"]


def test_a_slurm_that_does_not_answer_is_asked_again(wait: Any, tmp_path: Path) -> None:
    error = SlurmError("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    outcomes, slurm, _ = wait(error, error, writes(tmp_path, NODE, done("a"), done("b")))
    assert len(outcomes) == 2
    assert len([line for line in slurm.lines if "Unable to contact slurm controller" in line]) == 1


def test_what_a_shared_file_system_shows_late_still_counts(wait: Any, tmp_path: Path) -> None:
    last_words = writes(tmp_path, NODE, done("a"), done("b"), then="COMPLETED")
    outcomes, _, _ = wait(state("COMPLETED"), state("COMPLETED"), last_words)
    assert {event["event"] for event in outcomes.values()} == {"done"}


@pytest.mark.parametrize("name", REASONS)
def test_cases_of_a_task_that_slurm_ended_fail_with_its_word_and_the_end_of_the_log(
    wait: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / "0.log").write_text(f"slurmstepd: error: it ended in {tmp_path}/x\n")
    outcomes, _, _ = wait(
        writes(tmp_path, NODE, done("a"), {"event": "skipped", "case": "b", "reason": "interrupted"}, then=name)
    )
    assert outcomes["a"]["event"] == "done"
    assert outcomes["b"]["event"] == "failed"
    assert outcomes["b"]["reason"] == f"task 7_0 ended as {name}: {REASONS[name]}"
    assert outcomes["b"]["log"] == ["slurmstepd: error: it ended in <cache>/x"]


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        (["PENDING", "CANCELLED"], "task 7_0 ended as CANCELLED: someone cancelled it"),
        (["PREEMPTED"], "task 7_0 ended as PREEMPTED: a job of a higher rank took its place"),
        (["DEADLINE"], "task 7_0 ended as DEADLINE: it was not done by its deadline"),
    ],
)
def test_a_task_that_never_ran_is_not_looked_for_in_the_shared_folder(
    wait: Any, states: list[str], reason: str
) -> None:
    outcomes, _, _ = wait(*map(state, states))
    assert {event["reason"] for event in outcomes.values()} == {reason}


def test_a_task_that_ended_without_a_word_says_so(wait: Any) -> None:
    outcomes, _, _ = wait(state("COMPLETED", node="na"))
    assert all("ended as COMPLETED: its runner ended without a word" in event["reason"] for event in outcomes.values())
    assert all("do the nodes share the folder of GT_CACHE" in event["reason"] for event in outcomes.values())


def test_a_task_that_was_queued_again_by_hand_has_its_last_words_waited_for_too(wait: Any, tmp_path: Path) -> None:
    end, start = state("COMPLETED", node="na"), state("RUNNING", node="na")
    last_words = writes(tmp_path, NODE, done("a"), done("b"), then="COMPLETED")
    outcomes, _, _ = wait(state("FAILED", node="na"), *[start] * 300, end, end, last_words)
    assert {event["event"] for event in outcomes.values()} == {"done"}


def test_a_folder_is_listed_once_for_all_its_tasks(tmp_path: Path) -> None:
    assert written(tmp_path / "absent") == {}
    for name in ("0.json", "0.0.jsonl", "0.10.jsonl", "0.log", "10.0.jsonl", "10.json", "id", "script.sh"):
        (tmp_path / name).touch()
    assert {number: sorted(names) for number, names in written(tmp_path).items()} == {
        0: ["0.0.jsonl", "0.10.jsonl", "0.json", "0.log"],
        10: ["10.0.jsonl", "10.json"],
    }


def test_cases_that_only_an_earlier_call_asked_for_are_none_of_this_one(wait: Any, tmp_path: Path) -> None:
    outcomes, _, task = wait(writes(tmp_path, NODE, done("other"), done("a"), done("b")))
    assert sorted(outcomes) == ["a", "b"]
    assert task.hosts["na"].cases == ["a", "b"]


def test_a_case_is_shown_once_though_each_life_of_its_task_names_it(wait: Any, tmp_path: Path) -> None:
    second_life = writes(
        tmp_path, {**NODE, "node": "nb"}, {"event": "reused", "case": "a", "record": {}}, done("b"), life=1
    )
    events: list[str] = []
    wait(writes(tmp_path, NODE, done("a")), second_life, events=events)
    assert events == ["done a", "done b"]


def test_a_scancel_that_fails_hides_no_reason_why_tasks_do_not_start(
    wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SlurmError, match="will not start them: PartitionTimeLimit"):
        wait(state("PENDING", "PartitionTimeLimit"), cancel=SlurmError("Unable to contact slurm controller"))


def test_the_end_of_a_long_log_is_read_without_its_beginning_paths_and_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HOME", "/")  # as in some containers: not each slash is the user's home
    line = f"a/b {tmp_path}/x hf_secret\n"
    (tmp_path / "0.log").write_text("hf_" + line * 50_000 + "\n\n")
    end = Task(tmp_path, 0, "7", ["a"]).log_end({str(tmp_path): "<cache>"})
    assert end == ["a/b <cache>/x ***"] * 20


def test_a_task_that_nobody_sees_anything_of_is_settled_too(wait: Any) -> None:
    outcomes, _, _ = wait({})
    assert all("GT_CACHE" in event["reason"] for event in outcomes.values())


def test_a_second_life_finds_what_the_first_one_made_and_it_stays_made(wait: Any, tmp_path: Path) -> None:
    second_life = {**NODE, "node": "nb"}
    outcomes, slurm, task = wait(
        writes(tmp_path, NODE, done("a"), SKIPPED),
        state("PENDING", "BeginTime"),
        writes(tmp_path, second_life, {"event": "reused", "case": "a", "record": {}}, done("b"), life=1),
    )
    assert {name: event["event"] for name, event in outcomes.items()} == {"a": "done", "b": "done"}
    assert [(move.cases, move.host) for move in task.moves] == [(["b"], "na")]
    assert "task 7_0 is queued again: na has lost it" in slurm.lines


def test_a_request_that_slurm_takes_and_never_starts_is_refused(wait: Any) -> None:
    with pytest.raises(SlurmError, match="will not start them: PartitionTimeLimit"):
        wait(state("PENDING", "Priority"), state("PENDING", "PartitionTimeLimit"))


def test_a_stop_cancels_and_leaves_the_rest_skipped(wait: Any, tmp_path: Path) -> None:
    outcomes, slurm, _ = wait(writes(tmp_path, NODE, done("a")), state("CANCELLED"), stopped=True)
    assert slurm.cancellations == ["7_0"]
    assert (outcomes["a"]["event"], outcomes["b"]["event"], outcomes["b"]["reason"]) == (
        "done",
        "skipped",
        "interrupted",
    )


def test_a_stop_ends_even_if_slurm_has_gone(wait: Any) -> None:
    outcomes, _, _ = wait(SlurmError("Unable to contact slurm controller"), stopped=True)
    assert {event["event"] for event in outcomes.values()} == {"skipped"}


def test_what_a_dying_node_leaves_of_a_line_is_passed_over(wait: Any, tmp_path: Path) -> None:
    (tmp_path / "0.0.jsonl").write_bytes(json.dumps(NODE).encode() + b"\n\0\0\0{\n")
    outcomes, _, _ = wait(writes(tmp_path, done("a"), done("b")))
    assert {event["event"] for event in outcomes.values()} == {"done"}
