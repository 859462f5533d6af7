"""What this machine offers, and what may run on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci.errors import HostError
from ci.plan import host
from ci.plan.host import Host
from tests.support.factory import case

H100 = Host("h100", 1, 85.9, "NVIDIA H100 80GB HBM3")
CPU = Host("cpu")


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (
            "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\n",
            Host("h100", 2, 85.5, "NVIDIA H100 80GB HBM3"),
        ),
        ("", Host("cpu")),
    ],
)
def test_the_driver_is_asked_for_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, expected: Host
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = host.this_host()
    assert (found.kind, found.gpus, round(found.memory_gb, 1), found.gpu_name) == (
        expected.kind,
        expected.gpus,
        expected.memory_gb,
        expected.gpu_name,
    )


def test_a_case_runs_on_the_kind_that_it_needs_and_any_case_anywhere() -> None:
    host.place([case("one", gpu="h100"), case("two", gpu="any")], H100, None)
    host.place([case("two", gpu="any")], CPU, None)


def test_cases_that_need_another_kind_are_all_named_before_anything_runs() -> None:
    with pytest.raises(HostError) as raised:
        host.place([case("one", gpu="h200"), case("two", gpu="b200"), case("three")], H100, None)
    said = str(raised.value)
    assert "h200: one" in said
    assert "b200: two" in said
    assert "three" not in said
    assert "--on any" in said


def test_on_any_runs_them_on_what_is_here_and_on_a_kind_only_where_it_is() -> None:
    cases = [case("one", gpu="h200")]
    host.place(cases, H100, "any")
    host.place(cases, CPU, "any")
    host.place(cases, H100, "cpu")
    with pytest.raises(HostError, match="b200: one"):
        host.place(cases, H100, "b200")


def test_too_few_gpus_or_too_little_memory_is_said_before_anything_runs() -> None:
    with pytest.raises(HostError, match=r"4 GPUs \(there is 1\): one"):
        host.place([case("one", gpu="h100", gpus=4)], H100, None)


def test_an_unknown_kind_gets_the_near_matches() -> None:
    with pytest.raises(HostError, match="did you mean h100"):
        host.known("h10")
