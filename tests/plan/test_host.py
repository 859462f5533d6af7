"""What this machine offers, and what may run on it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from ci.catalogue import gpus
from ci.errors import HostError
from ci.plan import host, nvidia
from ci.plan.host import Host
from tests.support.factory import case

H100 = Host("h100", 1, 85.9, "NVIDIA H100 80GB HBM3")
CPU = Host("cpu")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\n",
            Host("h100", 2, 85.5, "NVIDIA H100 80GB HBM3"),
        ),
        ("", Host("cpu")),
    ],
)
def test_the_driver_is_asked_for_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, expected: Host
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    machine = host.this_host()
    assert (machine.kind, machine.gpus, round(machine.memory_gb, 1), machine.gpu_name) == (
        expected.kind,
        expected.gpus,
        expected.memory_gb,
        expected.gpu_name,
    )


def test_a_case_runs_on_the_kind_that_it_needs_and_any_case_anywhere() -> None:
    host.check([case("one", gpu="h100"), case("two", gpu="any")], H100, None)
    host.check([case("two", gpu="any")], CPU, None)


def test_cases_that_need_another_kind_are_all_named_before_anything_runs() -> None:
    with pytest.raises(HostError) as error:
        host.check([case("one", gpu="h200"), case("two", gpu="b200"), case("three")], H100, None)
    text = str(error.value)
    assert "h200: one" in text
    assert "b200: two" in text
    assert "three" not in text
    assert "--on any" in text


def test_on_any_runs_them_on_what_is_here_and_on_a_kind_only_where_it_is() -> None:
    cases = [case("one", gpu="h200")]
    host.check(cases, H100, "any")
    host.check(cases, CPU, "any")
    host.check(cases, H100, "cpu")
    with pytest.raises(HostError, match="b200: one"):
        host.check(cases, H100, "b200")


def test_too_few_gpus_or_too_little_memory_is_said_before_anything_runs() -> None:
    with pytest.raises(HostError, match=r"4 GPUs \(there is 1\): one"):
        host.check([case("one", gpu="h100", gpus=4)], H100, None)


UUIDS = ["GPU-0a000000-0000-0000-0000-000000000000", "GPU-1b000000-0000-0000-0000-000000000000"]
LOVELACE = "GPU-2c000000-0000-0000-0000-000000000000"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two H100 and an L4, as nvidia-smi lists them; CUDA's own driver is not there."""
    cards = [("NVIDIA H100 80GB HBM3", 81559, UUIDS[0]), ("NVIDIA H100 80GB HBM3", 81559, UUIDS[1])]
    cards.append(("NVIDIA L4", 23034, LOVELACE))
    lists = {
        "index,uuid": [f"{number}, {uuid}" for number, (_, _, uuid) in enumerate(cards)],
        "name,memory.total,uuid": [f"{name}, {memory}, {uuid}" for name, memory, uuid in cards],
    }
    branches = "".join(
        f"--query-gpu={fields}) printf '%s\\n' {shlex.join(lines)} ;;\n" for fields, lines in lists.items()
    )
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncase $1 in\n{branches}esac\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def numbers(machine: Host) -> list[str]:
    return [card.number for card in machine.cards]


def test_all_cards_of_the_first_ones_model_are_used_where_none_is_named(driver: None) -> None:
    machine = host.this_host()
    assert (machine.kind, machine.gpus, numbers(machine)) == ("h100", 2, ["0", "1"])
    assert [card.id for card in machine.cards] == UUIDS


@pytest.mark.parametrize(
    ("visible", "rest"),
    [
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        (UUIDS[1], ["1"]),
        ("GPU-1b", ["1"]),
        (f"{UUIDS[1]},{UUIDS[0]}", ["1", "0"]),
        ("0,0", []),  # CUDA takes none where one stands there twice: a case of two GPUs would run on one
        (f"{UUIDS[1]},1", []),
        ("GPU-", []),  # it may mean several
        ("1,GPU-", ["1"]),
        ("1,9,0", ["1"]),  # CUDA ends its list at the first name that it does not know
        ("", []),
        ("-1", []),
        ("2", ["2"]),
    ],
)
def test_cuda_visible_devices_is_respected_by_number_and_by_uuid(
    driver: None, monkeypatch: pytest.MonkeyPatch, visible: str, rest: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert numbers(host.this_host()) == rest


@pytest.mark.parametrize(
    ("devices", "kind", "expected"),
    [(["1"], "h100", ["1"]), (["1", "0"], "h100", ["1", "0"]), ([UUIDS[1], "1"], "h100", ["1"]), (["2"], "l4", ["2"])],
)
def test_devices_restrict_a_run_to_the_cards_that_they_name(
    driver: None, devices: list[str], kind: str, expected: list[str]
) -> None:
    machine = host.this_host(devices)
    assert (machine.kind, numbers(machine)) == (kind, expected)


@pytest.mark.parametrize(
    ("devices", "visible", "words"),
    [
        (["3"], None, "--devices 3: no such GPU; there are 0 (NVIDIA H100 80GB HBM3), 1 (NVIDIA H100 80GB HBM3), 2"),
        (["one", "-1"], None, "--devices one: no such GPU"),
        (["0-1"], None, "--devices 0-1: no such GPU"),
        (["GPU-ff"], None, "--devices GPU-ff: no such GPU"),
        (["GPU-"], None, r"--devices GPU-: \d GPUs begin so; write more of it"),
        (["0"], "1", r"--devices 0: no such GPU; there are 1 .* \(CUDA_VISIBLE_DEVICES may hide others\)"),
        (["0", "2"], None, "H100 80GB HBM3 and NVIDIA L4 make different images; name GPUs of one model"),
    ],
)
def test_devices_that_cannot_be_used_are_refused_with_those_that_can(
    driver: None, monkeypatch: pytest.MonkeyPatch, devices: list[str], visible: str | None, words: str
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(HostError, match=words.replace("(NVIDIA", r"\(NVIDIA").replace("3)", r"3\)")):
        host.this_host(devices)


def test_devices_on_a_machine_without_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="--devices 0: no such GPU; there are none"):
        host.this_host(["0"])


def test_cudas_own_answer_names_slices_and_counts_multiprocessors(driver: None) -> None:
    answer = f"NVIDIA H100 80GB HBM3, 81559, 132, {UUIDS[0]}\nNVIDIA H100 80GB HBM3, 81559, 114, {UUIDS[1]}\n"
    machine = host.host_of(answer)
    assert (machine.multiprocessors, [card.id for card in machine.cards]) == (132, UUIDS[:1])


@pytest.mark.parametrize("memory", ["[N/A]", "[Not Supported]", "[Unknown Error]", ""])
def test_a_card_whose_memory_the_driver_does_not_tell_has_that_of_its_kind(memory: str) -> None:
    (card,) = nvidia.cards(f"NVIDIA H100 80GB HBM3, {memory}, {UUIDS[0]}\n")
    assert (card.id, card.memory_gb) == (UUIDS[0], gpus.memory_gb("h100"))


def test_a_warning_of_the_driver_is_no_card() -> None:
    text = f"WARNING: infoROM is corrupted, see the manual\nNVIDIA L4, 23034, {LOVELACE}\nNo devices, or none\n"
    assert [card.name for card in nvidia.cards(text)] == ["NVIDIA L4"]
