"""`--host`: jobs go to other engines, what is finished is kept, and a host that fails is left out or moved from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from ci.plan.nvidia import QUERY
from ci.run.dagger_interface import CALL
from ci.run.hosts.call import listed
from tests.conftest import ROOT
from tests.engine.conftest import Call, Volume, core, processes, sums
from tests.engine.proxy import Proxy

NOWHERE = "tcp://192.0.2.1:9"  # an address of the documentation's network: nobody answers there


@pytest.fixture(scope="module")
def other() -> str:
    """A second engine, as the first one's containers reach it."""
    address = os.environ.get("GT_ENGINE_B_FROM_MODULE")
    if address is None:
        pytest.skip("GT_ENGINE_B_FROM_MODULE names no second engine")
    return address


@pytest.fixture
def proxy(other: str) -> Iterator[Proxy]:
    """The second engine by a way that can be cut."""
    host = os.environ.get("GT_HOST_FROM_ENGINE")
    if host is None:
        pytest.skip("GT_HOST_FROM_ENGINE does not say how this machine is reached from the engine's containers")
    way = Proxy(host, other)
    yield way
    way.cut()


def cases_of(folder: Path, *names: str, steps: int = 2) -> tuple[str, ...]:
    """Smoke cases that no engine has made before, a model each, so a job each."""
    return _written(folder, {name: (number, steps) for number, name in enumerate(names)})


def job_of(folder: Path, **steps: int) -> tuple[str, ...]:
    """Smoke cases that no engine has made before, of one model, so in one job and in this order; 100 steps a second."""
    return _written(folder, {name: (0, count) for name, count in steps.items()})


def _written(folder: Path, cases: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    data = yaml.safe_load((ROOT / "cases" / "smoke.yaml").read_text())
    body = data["cases"]["smoke_t2i"]
    call = {**body["call"], "width": 64, "height": 64, "prompt": uuid.uuid4().hex}
    data["cases"] = {
        name: {**body, "call": {**call, "num_inference_steps": steps}, "model": {**body["model"], "seed": seed}}
        for name, (seed, steps) in cases.items()
    }
    folder.mkdir(exist_ok=True)
    (folder / "smoke.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return ("--source-group", "smoke", "--cases", str(folder))


def started(*arguments: str) -> subprocess.Popen[str]:
    """A call of `generate` that is under way; its log comes line by line."""
    command = [*CALL.split(), "--progress=plain", "-m", str(ROOT), "generate", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"})


def test_the_question_to_a_hosts_driver_reaches_it_as_it_was_asked(engine: str) -> None:
    args = listed(["python", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *QUERY])
    base = ("container", "from", "--address", "python:3.11-slim")
    called = core(*base, "with-exec", "--args", args, "stdout")
    assert json.loads(called.out) == list(QUERY)


def test_jobs_run_on_the_host_that_answers_and_come_back_and_are_not_sent_again(
    other: str, volume: Callable[[], Volume]
) -> None:
    store = volume()
    arguments = (*cases_of(store.folder / "cases", "mine"), "--insecure-hosts", "--host")
    first, called = store.generate(*arguments, f"any={NOWHERE},any={other}")
    assert "host 192.0.2.1:9 is left out: no answer within 30 s" in called.err
    assert first["cases"]["mine"]["status"] == "ok"
    name = other.removeprefix("tcp://")
    assert [(host["name"], host["cases"]) for host in first["run"]["hosts"]] == [(name, ["mine"])]
    (host,) = first["run"]["hosts"]
    assert first["run"]["started"] <= host["started"] <= host["ended"] <= first["run"]["ended"]
    assert first["run"]["made"] == ["mine"]
    assert f"[{name} smoke-tiny--fluxpipeline-cpu] " in called.err  # every line says host and job
    assert len(called.err.splitlines()) < 250  # and none what the nested call says of itself

    again, called = store.generate(*arguments, f"any={other}", output="again")
    assert (again["run"]["made"], again["run"]["hosts"]) == ([], [])
    assert f"[{name} " not in called.err
    assert (processes(again), sums(again)) == (processes(first), sums(first))


def test_without_a_host_for_a_case_nothing_starts_and_each_host_is_said(other: str, call: Call) -> None:
    hosts = f"h100={other},h200={NOWHERE}"
    called = call(
        *("generate", "--official", "--case-ids", "flux_image_t2i", "--skip-preflight"),
        *("--host", hosts, "--insecure-hosts", "-o", "/nowhere/gt"),
    )
    assert called.status == 1
    assert f"host {other.removeprefix('tcp://')} is left out: it is named as h100, and has no GPU" in called.message
    assert "host 192.0.2.1:9 is left out: no answer within 30 s" in called.message
    assert "flux_image_t2i needs 1 x h100" in called.message


@pytest.mark.long
def test_a_job_of_a_host_that_dies_is_moved_and_the_manifest_says_so(
    other: str, proxy: Proxy, volume: Callable[[], Volume], tmp_path: Path
) -> None:
    store = volume()
    hosts = f"any={proxy.address},any={other}"
    arguments = (*cases_of(tmp_path / "cases", "one", "two", steps=300), "--insecure-hosts", "--host", hosts)
    process = started("--on", "cpu", "--per-case", "--results", store.name, *arguments, "-o", str(tmp_path / "gt"))
    assert process.stderr is not None
    for line in process.stderr:
        if f"[{proxy.name} " in line and " generate" in line:
            proxy.cut()
    assert process.wait() == 0
    manifest = json.loads((tmp_path / "gt" / "manifest.json").read_text())
    assert {case["status"] for case in manifest["cases"].values()} == {"ok"}
    (move,) = manifest["run"]["moves"]
    assert (move["host"], len(move["cases"])) == (proxy.name, 1)
    assert sorted(case for host in manifest["run"]["hosts"] for case in host["cases"]) == ["one", "two"]
    assert {host["name"] for host in manifest["run"]["hosts"]} == {other.removeprefix("tcp://")}


@pytest.mark.long
def test_what_a_host_finished_before_it_died_is_not_made_again(
    other: str, proxy: Proxy, volume: Callable[[], Volume], tmp_path: Path
) -> None:
    store, artifact = volume(), tmp_path / "gt"
    arguments = (*job_of(tmp_path / "cases", quick=2, slow=4000), "--insecure-hosts")
    host = ("--host", f"any={proxy.address}", "-o", str(artifact))
    process = started("--on", "cpu", "--results", store.name, *arguments, *host)
    assert process.stderr is not None
    log = ""
    for line in process.stderr:
        log += line
        if "quick: kept here" in line:
            proxy.cut()
    assert process.wait() == 0, log[-3000:]
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert manifest["cases"]["quick"]["status"] == "ok"
    assert manifest["cases"]["slow"]["reason"].startswith(f"no host is left for it: {proxy.name}: ")
    assert (manifest["run"]["made"], manifest["run"]["hosts"][0]["cases"]) == (["quick"], ["quick"])

    whole, _ = store.generate(*arguments, "--host", f"any={other}")
    assert (whole["run"]["made"], whole["run"]["hosts"][0]["cases"]) == (["slow"], ["slow"])
    assert processes(whole)["quick"] == processes(manifest)["quick"]


@pytest.mark.long
def test_a_host_that_hangs_is_given_up_and_its_job_goes_on_elsewhere(
    other: str, proxy: Proxy, volume: Callable[[], Volume], tmp_path: Path
) -> None:
    store = volume()
    hosts = ("--insecure-hosts", "--host", f"any={proxy.address},any={other}", "-o", str(tmp_path / "gt"))
    process = started(
        "--on", "cpu", "--results", store.name, *job_of(tmp_path / "cases", one=2, two=1500, three=2), *hosts
    )
    assert process.stderr is not None
    for line in process.stderr:
        if f"[{proxy.name} " in line and "two generate" in line:
            proxy.freeze()
    assert process.wait() == 0
    manifest = json.loads((tmp_path / "gt" / "manifest.json").read_text())
    assert {case["status"] for case in manifest["cases"].values()} == {"ok"}
    (move,) = manifest["run"]["moves"]
    assert move["host"] == proxy.name
    assert move["reason"].startswith("it stopped answering")


@pytest.mark.long
def test_a_call_that_reaches_its_limit_delivers_what_is_finished_and_says_what_is_not(
    other: str, volume: Callable[[], Volume]
) -> None:
    store = volume()
    arguments = (*job_of(store.folder / "cases", quick=2, endless=100_000), "--insecure-hosts")
    manifest, _ = store.generate(*arguments, "--host", f"any={other}", "--max-minutes", "0.9")
    assert manifest["cases"]["endless"]["status"] == "skipped"
    assert manifest["cases"]["endless"]["reason"] == "not finished within --max-minutes 0.9"
    assert manifest["cases"]["quick"]["status"] == "ok"
    assert manifest["run"]["made"] == ["quick"]


@pytest.mark.long
def test_ctrl_c_at_the_caller_ends_the_work_on_the_host_within_30_seconds(other: str, tmp_path: Path) -> None:
    if "GT_ENGINE_STATE" not in os.environ:
        pytest.skip("GT_ENGINE_STATE does not say that the engines run on this machine, where their processes show")
    arguments = (*cases_of(tmp_path / "cases", "endless", steps=100_000), "--insecure-hosts", "--host", f"any={other}")
    before = _workers()
    process = started(*arguments, "-o", str(tmp_path / "gt"))
    assert process.stderr is not None
    for line in process.stderr:
        if "endless generate" in line:
            break
    assert _workers() - before
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 30
    while _workers() - before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not _workers() - before
    process.communicate(timeout=60)
    assert not (tmp_path / "gt").exists()


def _workers() -> set[str]:
    """The processes on this machine that hold a model in a runner's container."""
    found = subprocess.run(["pgrep", "-f", "gt_runner work"], capture_output=True, text=True, check=False)
    return {pid for pid in found.stdout.split() if _folder(pid) == "/gt"}


def _folder(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115  # the container's path, which is none of this machine's
    except OSError:  # it has ended
        return ""
