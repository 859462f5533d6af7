"""The promises of giving out GPUs: each to one job at a time, all that a job needs at once."""

from __future__ import annotations

import anyio
import pytest

from ci.run.devices import Devices

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_job_gets_all_of_its_gpus_at_once_and_no_gpu_is_given_twice() -> None:
    devices = Devices(["0", "1", "2", "3"])
    numbers_held: set[str] = set()

    async def job(count: int) -> None:
        async with devices.taken(count) as numbers:
            assert len(numbers) == count
            assert not numbers_held & set(numbers)
            numbers_held.update(numbers)
            await anyio.sleep(0.001)
            numbers_held.difference_update(numbers)

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(job, 1 + number % 4)
    assert not numbers_held


@pytest.mark.parametrize(("parallel", "most"), [(0, 1), (3, 3)])
async def test_without_gpus_jobs_run_one_after_the_other_unless_more_are_asked_for(parallel: int, most: int) -> None:
    devices = Devices([], parallel)
    running, peak = 0, 0

    async def job() -> None:
        nonlocal running, peak
        async with devices.taken(0):
            running += 1
            peak = max(peak, running)
            await anyio.sleep(0.001)
            running -= 1

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(job)
    assert peak == most
