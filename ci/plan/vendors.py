"""Reads the tools that name the cards of AMD, Intel and Ascend, in their documented output.

None of it has run on such a machine: the tests hold outputs that vendors and users have published.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """A card as its vendor's tool names it."""

    name: str
    memory_gb: float | None = None  # in 1e9 bytes; None where the tool does not say


def rocm_smi(answer: str) -> Iterator[Card]:
    """Cards of `rocm-smi --showproductname --showmeminfo vram --json`, whose keys change case between releases."""
    for key, value in json.loads(answer).items():
        if key.startswith("card"):
            fields = {name.lower(): text for name, text in value.items()}
            name = f"{fields.get('card series', '')} {fields.get('gfx version', '')}".strip()
            memory = str(fields.get("vram total memory (b)", ""))  # N/A of a card that shares the host's
            yield Card(name, int(memory) / 1e9 if memory.isdecimal() else None)


def xpu_smi(answer: str) -> Iterator[Card]:
    """Cards of `xpu-smi discovery -j`; their memory is in another command, so that of the data sheet counts."""
    for value in json.loads(answer)["device_list"]:
        yield Card(value["device_name"])


def npu_smi(answer: str) -> Iterator[Card]:
    """Chips of `npu-smi info`: a row with number and name, and below it one that ends with used and total MB of HBM."""
    name = None
    for cells in ([cell.split() for cell in line.strip("| ").split("|")] for line in answer.splitlines()):
        first = cells[0]
        if len(cells) == 3 and len(first) == 2 and first[0].isdigit() and not first[1].isdigit():  # noqa: PLR2004
            name = first[1]
        elif name is not None and len(cells) == 3 and (total := re.search(r"/\s*(\d+)$", " ".join(cells[2]))):  # noqa: PLR2004
            yield Card(name, int(total[1]) * 2**20 / 1e9)
            name = None


TOOLS: Mapping[tuple[str, ...], Callable[[str], Iterator[Card]]] = {
    ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json"): rocm_smi,
    ("xpu-smi", "discovery", "-j"): xpu_smi,
    ("npu-smi", "info"): npu_smi,
}


def cards() -> list[Card]:
    """The cards of this machine that are not NVIDIA's, by the first tool that is there and answers."""
    for command, read in TOOLS.items():
        if shutil.which(command[0]) is None:
            continue
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
            if result := list(read(answer)):
                return result
        except (subprocess.SubprocessError, OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # a tool without a card fails in its own words
    return []
