"""The promises of publishing beside other writers: nothing is lost, and nothing is overwritten unseen."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ci.errors import PublishError
from ci.publish.push import PublishResult
from ci.publish.retry import Patience
from tests.conftest import LONG
from tests.support.git_server import Fault, git, push
from tests.support.publishers import FOLDER, OTHERS, Place, artifact

ROUNDS = int(os.environ.get("GT_RACE", "25" if LONG else "8"))  # of two publishers


def test_a_lost_answer_is_not_taken_for_a_loss_when_another_writer_came_on_top(http: Place, tmp_path: Path) -> None:
    http.faults.append(Fault("git-receive-pack$", 502, method="POST", late=True))
    http.faults.append(Fault("info/refs", 503, times=3))
    patience = Patience(attempts=25, first=0.3, longest=0.3)
    directory = artifact(tmp_path / "gt", {"a": b"a"})
    http.faults[1].times = 0
    seen = len(http.commits())
    results: list[PublishResult] = []
    thread = threading.Thread(target=lambda: results.append(http.publish(directory, patience=patience)))
    thread.start()
    while len(http.commits()) == seen:
        pass
    push(http.bare, {"theirs": b"on top"})
    thread.join()
    assert results[0].commit in http.commits()
    assert len(http.commits()) == seen + 2


def test_an_accepted_change_is_refused_if_somebody_else_changed_the_image_meanwhile(
    place: Place, tmp_path: Path
) -> None:
    place.publish(artifact(tmp_path / "one", {"a": b"old"}))

    def meanwhile(_: Path, __: Path) -> None:
        push(place.bare, {f"{FOLDER}/a_1gpu.png": b"theirs"})

    with pytest.raises(PublishError, match=r"a_1gpu\.png in gt/official/h100 was changed by somebody else meanwhile"):
        place.publish(artifact(tmp_path / "two", {"a": b"ours"}), accept={"a": "better"}, gate=meanwhile)
    assert place.files()[f"{FOLDER}/a_1gpu.png"] == b"theirs"


def test_what_another_writer_pushes_while_the_gate_runs_is_kept(place: Place, tmp_path: Path) -> None:
    def meanwhile(_: Path, __: Path) -> None:
        push(place.bare, {"late.txt": b"theirs", f"{FOLDER}/late_1gpu.png": b"theirs too"})

    done = place.publish(artifact(tmp_path / "gt", {"a": b"a"}), gate=meanwhile)
    assert place.files().keys() >= {"late.txt", f"{FOLDER}/late_1gpu.png", f"{FOLDER}/a_1gpu.png"}
    assert place.commits()[0] == done.commit


def race(place: Place, folder: Path, rounds: int) -> None:
    """Two publishers start at the same moment, again and again; all that either published must be there."""
    barrier, done = threading.Barrier(2), [list[PublishResult](), list[PublishResult]()]
    errors: list[BaseException] = []
    before = len(place.commits())

    def writer(which: int) -> None:
        try:
            for number in range(rounds):
                name = f"w{which}_{number}"
                directory = artifact(folder / name, {name: f"image {name}".encode()})
                barrier.wait(timeout=60)
                done[which].append(place.publish(directory))
        except BaseException as error:  # noqa: BLE001  # told below
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=writer, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    names = [f"w{which}_{number}" for which in (0, 1) for number in range(rounds)]
    files = place.files()
    assert all(files[f"{FOLDER}/{name}_1gpu.png"] == f"image {name}".encode() for name in names)
    assert set(names) <= place.manifest().cases.keys()
    commits = place.commits()
    assert len(commits) == before + 2 * rounds, "one run is one commit"
    assert {each.commit for both in done for each in both} == set(commits[: 2 * rounds])
    assert OTHERS.items() <= files.items()
    git("-C", str(place.bare), "fsck", "--strict")


@pytest.mark.parametrize("rounds", [ROUNDS or 25])
def test_two_publishers_at_once_both_end_up_published(place: Place, tmp_path: Path, rounds: int) -> None:
    race(place, tmp_path / "artifacts", rounds)
