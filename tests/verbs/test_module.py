"""The promises of the Dagger module that need no engine: its words are those of the core."""

from __future__ import annotations

import json
import tomllib

import anyio
import dagger
import pytest

from ci import ROOT
from ci.catalogue.fields import ALL, SMOKE
from ci.catalogue.files import Catalogue
from ci.kinds import GpuKind, Source, SourceGroup
from ci.main import DiffusionGt
from ci.plan.host import ANY, CPU, GPU_KINDS
from ci.run.hosts.dispatch import Devices
from gt_runner.sources import SOURCES

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_modules_words_are_the_cores(catalogue: Catalogue) -> None:
    assert {group.value for group in SourceGroup} == {ALL, SMOKE} | catalogue.groups
    assert {kind.value for kind in GpuKind} == {"needed", ANY, CPU, *GPU_KINDS}
    assert {source.value for source in Source} == set(SOURCES)


def test_every_function_and_argument_is_documented() -> None:
    functions = DiffusionGt.__dagger_module__.get_object("DiffusionGt").functions  # type: ignore[attr-defined]
    assert functions.keys() >= {"generate", "verdict", "matrix", "plan", "concurrency_key", "publish_target", "runner"}
    for function in functions.values():
        assert function.doc, function
        assert all(parameter.doc for parameter in function.parameters.values()), function


def test_engine_and_sdk_are_of_one_version() -> None:
    module = json.loads((ROOT / "dagger.json").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert f"dagger-io=={module['engineVersion'].removeprefix('v')}" in project["project"]["dependencies"]
    assert hasattr(dagger.Container, "experimental_with_gpu")


async def test_a_job_gets_all_of_its_gpus_at_once_and_no_gpu_is_given_twice() -> None:
    devices = Devices(["0", "1", "2", "3"])
    held: set[str] = set()

    async def job(count: int) -> None:
        taken = await devices.take(count)
        assert len(taken) == count
        assert not held & set(taken)
        held.update(taken)
        await anyio.sleep(0.001)
        held.difference_update(taken)
        await devices.give_back(taken)

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(job, 1 + number % 4)
    assert not held


@pytest.mark.parametrize(("parallel", "most"), [(0, 1), (3, 3)])
async def test_without_gpus_jobs_run_one_after_the_other_unless_more_are_asked_for(parallel: int, most: int) -> None:
    devices = Devices([], parallel)
    running, peak = 0, 0

    async def job() -> None:
        nonlocal running, peak
        taken = await devices.take(0)
        running += 1
        peak = max(peak, running)
        await anyio.sleep(0.001)
        running -= 1
        await devices.give_back(taken)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(job)
    assert peak == most
