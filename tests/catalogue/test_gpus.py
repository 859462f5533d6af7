"""The promises of GPU kinds: a card's name tells its kind with its form, and a need is met by what makes the same."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ci.catalogue import gpus
from ci.catalogue.fields import path_name_mistake


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "h100-mig-1g.10gb"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H200 NVL", "h200-nvl"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", "a100-mig-3g.20gb"),
        ("NVIDIA GeForce RTX 5090", "5090"),
        ("NVIDIA GeForce RTX 5090 Laptop GPU", "nvidia geforce rtx 5090 laptop gpu"),  # 82 multiprocessors, not 170
        ("NVIDIA GeForce RTX 4090 D", "nvidia geforce rtx 4090 d"),  # 114, not 128
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA RTX A6000", "nvidia rtx a6000"),
    ],
)
def test_a_cards_name_tells_its_kind_and_form(name: str, kind: str) -> None:
    assert gpus.kind_of(name) == kind


@pytest.mark.parametrize(
    ("need", "kinds"),
    [
        ("h100", {"h100", "h100-pcie", "h100-nvl"}),
        ("h100-sxm", {"h100"}),
        ("h100-pcie", {"h100-pcie"}),
        ("h200", {"h200"}),
        ("any", {"h100", "h100-pcie", "h100-nvl", "h200", "cpu"}),
        ("h100-mig-1g.10gb", {"h100-mig-1g.10gb"}),
    ],
)
def test_a_need_is_met_by_its_forms_and_a_slice_of_a_card_by_its_name_alone(need: str, kinds: set[str]) -> None:
    offered = ("h100", "h100-pcie", "h100-nvl", "h200", "cpu", "h100-mig-1g.10gb", "h100-mig-2g.20gb")
    assert {kind for kind in offered if gpus.suits(need, kind)} == kinds


@pytest.mark.parametrize("kind", ["h10", "h100-sx", "h100-mig", "h100-mig-", "h100-mig-../x", "H100", ""])
def test_a_kind_that_is_none_is_named(kind: str) -> None:
    assert (gpus.mistake(kind) or "").startswith(f"no GPU kind is named {kind!r}")


@pytest.mark.parametrize(
    "name", ["Quadro RTX 6000/8000", "NVIDIA T4", "", "..", "NVIDIA " + "x" * 200, "A*\x1b[31m", "GeForce: 1"]
)
def test_the_kind_of_any_card_is_a_name_of_a_folder(name: str) -> None:
    assert path_name_mistake(gpus.kind_of(name)) is None


def test_one_entry_makes_a_kind_with_its_forms() -> None:
    kinds = gpus.read("z9: {title: Vendor Z9, vendor: amd, names: [z9, z9x], forms: {oam: 100, pcie: 80}, folder: zed}")
    assert list(kinds) == ["z9", "z9-oam", "z9-pcie"]
    assert (kinds["z9"].memory_gb, kinds["z9"].folder, kinds["z9-pcie"].memory_gb) == (100, "zed", 80)
    assert (kinds["z9-pcie"].title, kinds["z9-pcie"].folder) == ("Vendor Z9 PCIE", "z9-pcie")


def test_an_entry_of_ours_reaches_needs_hosts_matrices_and_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added = gpus.read("z9: {title: Vendor Z9, vendor: amd, memory_gb: 100, runners: {2: big}, folder: zed}")
    monkeypatch.setattr(gpus, "KINDS", {**gpus.KINDS, **added})
    monkeypatch.setattr(gpus, "FOLDERS", {"z9": "zed"})
    assert gpus.kind_of("AMD Instinct Z9") == "z9"
    assert gpus.suits("z9", "z9")
    assert not gpus.suits("h100", "z9")
    assert (gpus.runner_label("z9", 1), gpus.runner_label("z9", 2)) == ("1-gpu-z9", "big")
    assert gpus.folder_of("z9") == "zed"
    assert round(gpus.memory_gb("z9")) == 107


@pytest.mark.parametrize(
    "entry",
    [
        "z9: {title: Z, vendor: amd}",
        "z9: {title: Z, vendor: amd, memory_gb: 1, forms: {oam: 1}}",
        "z9: {title: Z, vendor: someone, memory_gb: 1}",
        "../z9: {title: Z, vendor: amd, memory_gb: 1}",
        "z9: {title: Z, vendor: amd, memory_gb: 1, more: 1}",
    ],
)
def test_an_entry_with_a_mistake_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError):
        gpus.read(entry)
