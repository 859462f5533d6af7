"""NVIDIA's cards, as CUDA's driver or nvidia-smi name them, and which of them may be used."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ..catalogue import gpus
from ..errors import HostError
from ..words import counted


@dataclass(frozen=True)
class Card:
    """A GPU of a machine."""

    id: str  # as CUDA_VISIBLE_DEVICES takes it: a UUID, or its number where the driver gave none
    number: str  # as nvidia-smi counts
    name: str
    memory_gb: float  # in 1e9 bytes
    multiprocessors: int | None  # None where only nvidia-smi answered

    @property
    def model(self) -> tuple[str, int | None]:
        """What decides bits: cards that share it make the same ones."""
        return self.name, self.multiprocessors


# CUDA's own driver, which names slices of a card, counts multiprocessors and keeps to CUDA_VISIBLE_DEVICES; nvidia-smi
# where there is none to ask. The attribute's number is CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT of cuda.h.
PROBE = """\
import ctypes as c, uuid
d = c.CDLL("libcuda.so.1")
n, s, m, t, u = c.c_int(), c.create_string_buffer(99), c.c_int(), c.c_size_t(), c.create_string_buffer(16)
assert not d.cuInit(0) and not d.cuDeviceGetCount(c.byref(n)) and n.value
for i in range(n.value):
    d.cuDeviceGetName(s, 99, i), d.cuDeviceTotalMem_v2(c.byref(t), i), d.cuDeviceGetAttribute(c.byref(m), 16, i)
    d.cuDeviceGetUuid_v2(u, i)
    k = s.value.decode()
    print(k, t.value // 2**20, m.value, ("MIG-" if "MIG" in k else "GPU-") + str(uuid.UUID(bytes=u.raw)), sep=", ")
"""
SMI = "nvidia-smi --query-gpu=name,memory.total,uuid --format=csv,noheader,nounits"
QUERY = ("sh", "-c", f'python3 -c "$0" 2>/dev/null || {SMI}', PROBE)
NUMBERS = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
UUID = re.compile(r"(GPU|MIG)-[0-9a-f-]+")


def cards(answer: str) -> list[Card]:
    """The cards whose driver gave this answer to QUERY."""
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    rows = [row for row in rows if len(row) > 1 and (row[1].isdecimal() or UUID.fullmatch(row[-1]))]  # no warnings
    result = []
    for number, (name, mebibytes, *more) in enumerate(rows):
        uuid = next((cell for cell in more if UUID.fullmatch(cell)), str(number))
        count = next((int(cell) for cell in more if cell.isdigit()), None)
        # [N/A] of a GPU that shares the host's memory: that of the data sheet counts.
        memory = float(mebibytes) * 2**20 / 1e9 if mebibytes.isdecimal() else gpus.memory_gb(gpus.kind_of(name))
        result.append(Card(uuid, str(number), name, memory, count))
    return result


def here() -> list[Card]:
    """All that CUDA_VISIBLE_DEVICES leaves; CUDA's driver keeps to it by itself, nvidia-smi does not look at it."""
    with ThreadPoolExecutor() as pool:  # each takes a few tenths of a second
        answer, table = pool.map(_answer, (QUERY, NUMBERS))
    result = cards(answer)
    pairs = [line.split(", ") for line in table.splitlines() if line.count(", ") == 1]
    numbers = {uuid: number for number, uuid in pairs}
    result = [replace(card, number=numbers.get(card.id, card.number)) for card in result]
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is None or any(card.multiprocessors is not None for card in result):
        return result
    choice = [_named(result, name.strip()) for name in setting.split(",")]
    prefix = [card for (card,) in itertools.takewhile(lambda each: len(each) == 1, choice)]  # as CUDA reads the list
    return prefix if len(set(prefix)) == len(prefix) else []


def _named(pool: Iterable[Card], name: str) -> list[Card]:
    """The cards that a name may mean: a number, or a UUID, which may be cut short."""
    of_number = [card for card in pool if name == card.number]
    return of_number or [card for card in pool if name and card.id.startswith(name) and not name.isdigit()]


def chosen(pool: Sequence[Card], devices: Sequence[str]) -> list[Card]:
    """The cards that `devices` name, by number as nvidia-smi counts or by UUID.

    Raises HostError for one that is not there, is hidden by CUDA_VISIBLE_DEVICES, or is of another model than the
    others.
    """
    choice, mistakes = [], []
    names = ", ".join(f"{card.number} ({card.name})" for card in pool) or "none"
    hint = " (CUDA_VISIBLE_DEVICES may hide others)" if "CUDA_VISIBLE_DEVICES" in os.environ else ""
    for device in devices:
        matches = _named(pool, device)
        if len(matches) > 1:
            mistakes.append(f"--devices {device}: {counted(len(matches), 'GPU')} begin so; write more of it")
        elif not matches:
            mistakes.append(f"--devices {device}: no such GPU; there are {names}{hint}")
        elif matches[0] not in choice:
            choice.append(matches[0])
    misfits = [card for card in choice if card.model != choice[0].model]
    if misfits:
        models = " and ".join(dict.fromkeys(card.name for card in choice))
        mistakes.append(f"--devices {', '.join(devices)}: {models} make different images; name GPUs of one model")
    if mistakes:
        raise HostError("\n".join(mistakes))
    return choice


def _answer(command: Sequence[str]) -> str:
    """What a driver's tool prints; nothing where there is none that answers."""
    if shutil.which("nvidia-smi") is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ""
