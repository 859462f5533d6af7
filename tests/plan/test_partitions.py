"""The promises of partitions: nothing lost, nothing twice, the bounds kept, and what upstream's own tool would say."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ci.plan.jobs import MAX_PARTS, MAX_SECONDS, MIN_SECONDS, partition
from tests.support.checkout import picked, sglang_checkout

TOOL = Path("scripts/ci/utils/diffusion/compute_diffusion_partitions.py")
HELPERS = Path("python/sglang/multimodal_gen/test/partitioning.py")

ids = st.text("abcdefghij_0123456789.", min_size=1, max_size=12)
seconds = st.dictionaries(ids, st.integers(1, 80_000).map(lambda eighths: eighths / 8), max_size=60)


@given(seconds)
def test_each_id_is_in_just_one_part_and_no_part_is_empty(times: dict[str, float]) -> None:
    parts = partition(times)
    assert sorted(name for part in parts for name in part) == sorted(times)
    assert all(parts)
    assert len(parts) <= MAX_PARTS


@given(seconds, st.randoms())
def test_the_order_in_which_cases_are_given_does_not_matter(times: dict[str, float], order: random.Random) -> None:
    items = list(times.items())
    order.shuffle(items)
    assert partition(dict(items)) == partition(times)


@given(count=st.integers(80, 300), order=st.randoms(use_true_random=False))
def test_parts_of_short_cases_keep_the_bounds(count: int, order: random.Random) -> None:
    times = {f"case_{number}": order.randint(8, 480) / 8 for number in range(count)}
    total = sum(times.values())
    assume(2 * MIN_SECONDS <= total <= MAX_PARTS * (MAX_SECONDS - 60))
    for part in partition(times):  # of cases of at most 60 s, the parts differ by at most one
        assert MIN_SECONDS - 60 <= sum(times[name] for name in part) <= MAX_SECONDS + 60


# Worked out by hand from the rule: the target's ceil(total / 1800), held between ceil(total / 2400) and
# floor(total / 1200), and never more than 10.
COUNTS = {
    60: 1,
    1200: 1,
    1800: 1,
    1860: 1,  # the target says 2, but two parts would be below 1200 s
    2340: 1,
    2400: 2,
    2460: 2,
    3600: 2,
    3660: 3,
    5400: 3,
    5460: 4,
    9000: 5,
    17_940: 10,
    18_000: 10,
    60_000: 10,
}


@pytest.mark.parametrize(("total", "count"), COUNTS.items())
def test_the_number_of_parts_is_the_rules(total: int, count: int) -> None:
    minutes = {f"case_{position:04}": 60.0 for position in range(total // 60)}
    assert len(partition(minutes)) == count


def test_the_longest_case_goes_first_and_always_onto_the_emptiest_part() -> None:
    times = {"a": 900.0, "b": 900.0, "c": 700.0, "d": 600.0, "e": 400.0, "f": 100.0}  # 3600 s: two parts
    assert partition(times) == [["a", "c", "f"], ["b", "d", "e"]]


def test_a_case_that_is_longer_than_a_part_stays_whole_and_starts_no_empty_part() -> None:
    assert partition({"long": 9000.0}) == [["long"]]
    assert partition({}) == []


@pytest.fixture(scope="module")
def upstream() -> SimpleNamespace:
    """The functions of upstream's tool, out of a checkout."""
    root = sglang_checkout(TOOL, HELPERS)
    names = ("compute_partition_count", "PartitionItem", "partition_items_by_lpt")
    return SimpleNamespace(**picked(root / TOOL, names), **picked(root / HELPERS, names))


@settings(max_examples=1000)
@given(times=seconds.filter(bool))
def test_upstreams_own_tool_makes_the_same_parts(upstream: SimpleNamespace, times: dict[str, float]) -> None:
    items = [upstream.PartitionItem("case", name, est_time) for name, est_time in times.items()]
    count = upstream.compute_partition_count(sum(times.values()), 1200.0, 1800.0, 2400.0, 10)
    theirs = [[item.item_id for item in part] for part in upstream.partition_items_by_lpt(items, count)]
    assert partition(times) == [part for part in theirs if part]
