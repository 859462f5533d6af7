"""The promises of the other vendors' tools: published output of each is read into kinds, and what is broken is no card.

The outputs are what vendors document and users have published; none was taken on a machine of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci.catalogue import gpus
from ci.plan import vendors
from ci.plan.host import this_host

ROCM = json.dumps(
    {
        "card0": {"Card series": "AMD Instinct MI300X OAM", "VRAM Total Memory (B)": "206158430208"},
        "card1": {
            "Card Series": "AMD Instinct MI300X",
            "GFX Version": "gfx942",
            "VRAM Total Memory (B)": "206158430208",
        },
        "system": {"Driver version": "6.3.6"},
    }
)
ROCM_BY_GENERATION = json.dumps({"card0": {"Card Series": "N/A", "GFX Version": "gfx1250"}})
ROCM_MI355X = json.dumps({"card0": {"Card Series": "AMD Instinct MI355X", "GFX Version": "gfx950"}})
XPU = json.dumps(
    {
        "device_list": [
            {
                "device_function_type": "physical",
                "device_id": 0,
                "device_name": "Intel(R) Arc(TM) Pro B60 Graphics",
                "device_type": "GPU",
                "pci_bdf_address": "0000:04:00.0",
                "vendor_name": "Intel(R) Corporation",
            }
        ]
    }
)
NPU_A2 = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.0                   Version: 24.1.0                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B1               | OK            | 100.4       50                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3395 / 65536         |
+===========================+===============+====================================================+
| 1     910B1               | OK            | 100.1       52                0    / 0             |
| 0                         | 0000:01:00.0  | 0           0    / 0          41697/ 65536         |
+===========================+===============+====================================================+
"""
NPU_A3 = """\
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     Ascend910           | OK            | 174.8       39                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 0           0    / 0          4197 / 65536         |
+------------------------------------------------------------------------------------------------+
| 0     Ascend910           | OK            | -           37                0    / 0             |
| 1     1                   | 0000:9F:00.0  | 0           0    / 0          3253 / 65536         |
"""


@pytest.mark.parametrize(
    ("reader", "answer", "kinds", "gigabytes"),
    [
        (vendors.rocm_smi, ROCM, ["mi300x", "mi300x"], 206),
        (vendors.rocm_smi, ROCM_MI355X, ["mi355x"], None),
        (vendors.rocm_smi, ROCM_BY_GENERATION, ["gfx1250"], None),
        (vendors.xpu_smi, XPU, ["b60"], None),
        (vendors.npu_smi, NPU_A2, ["ascend-910b", "ascend-910b"], 69),
        (vendors.npu_smi, NPU_A3, ["ascend-a3", "ascend-a3"], 69),
    ],
)
def test_each_tool_names_its_cards(
    reader: Callable[[str], Iterator[vendors.Card]], answer: str, kinds: list[str], gigabytes: int | None
) -> None:
    cards = list(reader(answer))
    assert [gpus.kind_of(card.name) for card in cards] == kinds
    assert {None if card.memory_gb is None else round(card.memory_gb) for card in cards} == {gigabytes}


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "answer", "kind", "count"),
    [
        ("rocm-smi", ROCM, "mi300x", 2),
        ("xpu-smi", XPU, "b60", 1),
        ("npu-smi", NPU_A2, "ascend-910b", 2),
        ("xpu-smi", '{"device_list": []}', "cpu", 0),
        ("rocm-smi", "WARNING: No AMD GPUs specified", "cpu", 0),
        ("rocm-smi", '{"card0": "no"}', "cpu", 0),
        ("xpu-smi", '{"error": "Level Zero"}', "cpu", 0),
        ("npu-smi", "dcmi module initialize failed. ret is -8005", "cpu", 0),
    ],
)
def test_a_machine_tells_its_kind_by_the_tool_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, answer: str, kind: str, count: int
) -> None:
    (tmp_path / "answer").write_text(answer)
    tool(tmp_path, name, f"cat '{tmp_path}/answer'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    host = this_host()
    assert (host.kind, host.gpus) == (kind, count)
    assert host.has_runners == (kind == "cpu")
