"""The promises of the preflight: what stands in a run's way is named, all of it at once, before a byte is fetched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gt_runner.events import Event
from gt_runner.fetch.case_files import identify
from gt_runner.fetch.folders import Folders
from gt_runner.fetch.preflight import obstacles
from gt_runner.fetch.prepare import prepare
from gt_runner.store import Store, case_key
from gt_runner.tasks import fetch_task
from tests.support.fake_hub import FILES, MODEL, FakeHub

JOB = {"name": "j", "source": "diffusers", "device": "cpu", "gpu_kind": "cpu", "gpus": 1}


def run_of(folder: Path, *repos: str, fresh: bool = False) -> Any:
    cases = [{"id": repo, "source": "diffusers", "model": {"repo": repo}, "base": "."} for repo in repos]
    folders = {"store": str(folder / "store"), "cache": str(folder / "cache"), "models": None, "previous": None}
    return {"jobs": [{**JOB, "cases": [case]} for case in cases], "fresh": fresh, "nonce": None, **folders}


def close(fake: FakeHub, *names: str) -> None:
    for name in names:
        fake.push(name, FILES)
        fake.repos[name].gated, fake.repos[name].token = True, "right"


def test_every_closed_model_of_every_job_is_named_once_and_nothing_is_fetched(fake: FakeHub, tmp_path: Path) -> None:
    close(fake, "owner/one", "owner/two")
    found = obstacles(run_of(tmp_path, "owner/one", MODEL, "owner/two", "owner/one"))
    assert [line.split(" is ")[0] for line in found] == ["owner/one", "owner/two"]
    assert not fake.asked("GET", "/resolve/")


def test_a_token_that_opens_them_leaves_nothing_in_the_way(
    fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(fake, "owner/one")
    monkeypatch.setenv("HF_TOKEN", "right")
    assert obstacles(run_of(tmp_path, "owner/one", MODEL)) == []


def test_the_closed_model_of_an_engines_case_is_named_though_the_engine_fetches_it_itself(
    fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(fake, "owner/one")
    run = run_of(tmp_path, "owner/one", MODEL) | {"serving": str(tmp_path), "serving_identity": "commit:x"}
    for job in run["jobs"]:
        job["cases"][0] |= {"engine": {"repo": "owner/engine", "command": ["x"]}, "suite": "s"}
    (line,) = obstacles(run)
    assert line.startswith("owner/one is ")
    monkeypatch.setenv("HF_TOKEN", "right")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))  # what it fetches of them is not known
    assert obstacles(run) == []


def test_a_disk_too_small_for_all_models_together_is_said(
    fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.push("owner/other", FILES)
    one = sum(len(body) for body in FILES.values())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1024**3 + one * 3 // 2))
    assert obstacles(run_of(tmp_path, MODEL)) == []
    (line,) = obstacles(run_of(tmp_path, MODEL, "owner/other"))
    assert line.startswith("owner/model, owner/other: 0.0 GB are to be downloaded")


def test_a_finished_case_needs_no_access_unless_it_is_made_afresh(fake: FakeHub, tmp_path: Path) -> None:
    close(fake, "owner/one")
    run = run_of(tmp_path, "owner/one")
    (job,) = run["jobs"]
    (case,) = job["cases"]
    store = Store(Path(run["store"]))
    key = case_key(case, identify(case, Folders(Path(run["cache"]))), job)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with store.begun() as folder:
        (folder / "image.png").write_bytes(b"")
        store.finish(folder, {"key": key, "files": [{"name": "image.png", "sha256": empty}]})
    assert obstacles(run) == []
    assert len(obstacles(run | {"fresh": True})) == 1


def test_a_hub_that_is_down_is_the_failure_of_its_case_and_no_obstacle_to_the_others(
    fake: FakeHub, tmp_path: Path
) -> None:
    fake.stop()
    assert obstacles(run_of(tmp_path, MODEL)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"source": "wan21", "runtime": {"generator_device": "cuda"}},
        {"source": "ltx", "runtime": {"dtype": "fp16"}},
        {"call": {"extra": {"return_dict": False}}},
    ],
)
def test_a_case_that_cannot_run_here_fails_before_the_hub_is_asked(
    fake: FakeHub, tmp_path: Path, change: dict[str, Any]
) -> None:
    run = run_of(tmp_path, MODEL)
    run["jobs"][0]["cases"][0] |= change
    events: list[Event] = []
    assert obstacles(run) == []
    prepare(fetch_task(run, run["jobs"][0]), events.append)
    assert [event["event"] for event in events] == ["failed"]
    assert not fake.asked("GET", "/")


def test_whoever_reads_the_events_of_a_fetch_phase_is_told_how_far_the_hashing_of_a_local_model_is(
    tmp_path: Path,
) -> None:
    (tmp_path / "local" / MODEL).mkdir(parents=True)
    (tmp_path / "local" / MODEL / "a.safetensors").write_bytes(b"x" * 1000)
    run = run_of(tmp_path, MODEL) | {"models": str(tmp_path / "local")}
    events: list[Any] = []
    prepare(fetch_task(run, run["jobs"][0]), events.append)
    told = [event for event in events if event["event"] == "fetching"]
    name = run["jobs"][0]["cases"][0]["id"]
    assert told[-1] == {"event": "fetching", "case": name, "what": f"{MODEL}: sha256", "done": 1000, "total": 1000}
    assert [event["event"] for event in events[: len(told)]] == ["fetching"] * len(told), "before anything is known"
