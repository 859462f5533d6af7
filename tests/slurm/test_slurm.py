"""What `gt generate --slurm` promises, on a real Slurm of two nodes whose GPUs are fake: the cases run on the CPU."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.slurm.conftest import Call, User, case, made_by
from tests.support.slurm import Cluster


@pytest.fixture(scope="module", autouse=True)
def overdue(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[User, Call, threading.Thread]]:
    """A call whose task hangs and is over its limit after a minute: it waits for that while the other tests run."""
    user = User(slurm, tmp_path_factory.mktemp("overdue"))
    user.cases(one=case(), two=case(steps=100_000), three=case())
    user.site(gpus={"any": {"gres": "gpu:h200", "memory_gb": 4}}, options=["--time=1"])
    call = user.start()

    def hang() -> None:
        call.until("^two: step 1/")
        slurm.freeze(user.tasks()[0])

    hanging = threading.Thread(target=hang)
    hanging.start()
    yield user, call, hanging
    call.kill()


@pytest.fixture(scope="module")
def lost(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[User, Call]]:
    """A call that makes everything again, whose node died after the first case; Slurm notices in half a minute."""
    user = User(slurm, tmp_path_factory.mktemp("lost"))
    user.cases(quick=case(), slow=case(steps=100))
    user.site(gpus={"any": {"gres": "gpu", "memory_gb": 4}}, options=["--nodelist=na"])
    call = user.start("--fresh")
    call.until(r"^quick: ok")
    slurm.kill_node("na")
    yield user, call
    call.kill()


def test_a_run_uses_both_nodes_and_ends_as_a_local_run_and_the_next_one_asks_slurm_for_nothing(user: User) -> None:
    user.cases(one=case(), two=case(seed=2))
    user.site(gpus={"any": {"gres": "gpu", "memory_gb": 10}})  # a node has room for one of them
    status, said = user.generate("--per-case")
    assert status == 0, said
    assert "gt: 2 of 2 cases are in gt (2 made now, 0 made before)" in said
    assert re.search(r"^one: ok in \d+\.\d s$", said, re.MULTILINE)
    hosts = {host["name"]: host["cases"] for host in user.manifest()["run"]["hosts"]}
    assert {name: len(cases) for name, cases in hosts.items()} == {"na": 1, "nb": 1}

    before = user.cluster.arrays()
    status, said = user.generate("--per-case")
    assert status == 0, said
    assert "0 made now, 2 made before" in said
    assert user.cluster.arrays() == before


@pytest.mark.usefixtures("lost")
def test_what_slurm_refuses_is_said_in_its_words_and_nothing_is_left(user: User) -> None:
    user.cases(one=case())
    status, said = user.generate(slurm=["--slurm", "nowhere"])
    assert (status, "invalid partition specified: nowhere" in said) == (2, True), said

    user.site(gpus={"any": {"gres": "gpu:b200", "memory_gb": 4}})
    status, said = user.generate()
    assert (status, "Requested node configuration is not available" in said) == (2, True), said

    user.site()
    status, said = user.generate(slurm=["--slurm=brief"])  # of a minute: Slurm takes the job, and would never start it
    assert (status, "PartitionTimeLimit" in said) == (2, True), said
    assert not user.tasks()
    assert not list(user.folder.glob("cache*/slurm/*"))
    assert not (user.folder / "gt").exists()
    assert "Traceback" not in said


@pytest.mark.usefixtures("lost")
def test_a_node_without_the_gpu_that_slurm_promises_fails_its_cases_in_words(user: User) -> None:
    user.cases(one=case(gpu="h200"))
    status, said = user.generate()
    assert status == 1
    assert "gt: one: failed: it needs 1 x h200, and on nb Slurm gave it no GPU that its driver knows" in said


@pytest.mark.usefixtures("lost")
def test_ctrl_c_cancels_the_array_and_says_so_in_the_manifest(user: User) -> None:
    user.cases(one=case())
    call = user.start()
    call.until("task .* runs on nb")
    call.process.send_signal(signal.SIGINT)
    assert call.end() == 130
    one = user.manifest()["cases"]["one"]
    assert (one["status"], one["reason"]) == ("skipped", "interrupted")
    user.cluster.until(lambda: not user.tasks())


@pytest.mark.usefixtures("lost")
def test_after_a_call_that_was_detached_or_killed_the_next_takes_what_is_finished_and_waits_for_the_rest(
    user: User,
) -> None:
    user.cases(one=case(), slow=case(steps=400))
    status, said = user.generate("--detach")
    assert status == 0, said
    found = re.search(r"Slurm has the rest as (\d+)", said)
    assert found is not None
    assert not (user.folder / "gt").exists()
    status, again = user.generate("--detach")
    assert (status, f"as {found[1]}:" in again) == (0, True), again

    user.cluster.until(lambda: any(user.folder.glob("cache*/results/*/record.json")))
    killed = user.start()
    killed.until("task .* runs on nb: slow")
    killed.kill()
    status, said = user.generate()
    assert status == 0, said
    assert "gt: 2 of 2 cases are in gt (1 made now, 1 made before)" in said
    assert user.manifest()["run"]["made"] == ["slow"]
    assert {name.partition("_")[0] for name in user.tasks("--states=all")} == {found[1]}


@pytest.mark.usefixtures("lost")
def test_two_runs_at_once_of_the_same_cases_are_both_whole(user: User) -> None:
    user.cases(one=case())
    calls = [user.start("--output", name) for name in ("first", "second")]
    for call in calls:
        assert call.end() == 0, call.said
    assert user.content("first") == user.content("second")
    assert user.content("first").keys() == {"one_1gpu.png"}


@pytest.mark.long
@pytest.mark.usefixtures("lost")
def test_verify_makes_each_case_in_a_second_task_and_compares_the_bytes(user: User) -> None:
    user.cases(one=case())
    status, said = user.generate("--verify")
    assert status == 0, said
    assert user.manifest()["cases"]["one"]["reproducible"] is True
    assert len(user.cluster.arrays() & {name.partition("_")[0] for name in user.tasks("--states=all")}) == 2


def test_a_job_whose_node_died_is_queued_again_and_finished_cases_are_not_made_again(lost: tuple[User, Call]) -> None:
    user, call = lost
    user.cluster.start_node("na")
    assert call.end() == 0, call.said
    manifest = user.manifest()
    assert manifest["run"]["made"] == ["quick", "slow"]
    assert call.said.count("quick: ok in") == 1
    assert "quick: ok, made before" in call.said
    (move,) = manifest["run"]["moves"]
    assert (move["cases"], move["host"]) == (["slow"], "na")
    assert len({made_by(manifest, name) for name in ("quick", "slow")}) == 2


def test_a_task_over_its_time_limit_fails_what_it_has_not_finished_and_the_log_is_there(
    overdue: tuple[User, Call, threading.Thread],
) -> None:
    user, call, hanging = overdue
    hanging.join()
    assert call.end() == 1, call.said
    cases = user.manifest()["cases"]
    assert {name: each["status"] for name, each in cases.items()} == {"one": "ok", "two": "failed", "three": "failed"}
    assert "ended as TIMEOUT: it was over its time limit" in cases["two"]["reason"]
    assert any("two: step" in line for line in cases["two"]["log"]), cases["two"]["log"]
    assert str(user.folder) not in str(cases)
