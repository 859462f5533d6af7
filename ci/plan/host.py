"""The machine that runs jobs without a container engine: what GPU it offers, and whether a job may run on it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..catalogue import gpus
from ..catalogue.gpus import ANY, CPU, suits
from ..catalogue.model import Case
from ..errors import HostError
from . import vendors
from .jobs import Job


@dataclass(frozen=True)
class Host:
    """A machine by the GPU kind that it offers; `cpu` where it has none."""

    kind: str
    gpus: int = 0
    memory_gb: float = 0.0  # of the smallest GPU, in 1e9 bytes
    gpu_name: str = ""
    multiprocessors: int | None = None  # of a GPU; None where only nvidia-smi answered, which does not say

    @property
    def card(self) -> dict[str, str | int | None] | None:
        """What decides bits besides the kind, as the runner reads it."""
        return {"name": self.gpu_name, "multiprocessors": self.multiprocessors} if self.gpus else None

    @property
    def has_runners(self) -> bool:
        """Whether our locked environments and images hold a PyTorch for its cards: they hold CUDA's."""
        return gpus.vendor_of(self.kind) in (None, "nvidia")

    @property
    def device(self) -> str:
        """The torch device that jobs run on."""
        return "cuda" if self.gpus else "cpu"


# CUDA's own driver, which names slices of a card and counts multiprocessors; nvidia-smi where there is none to ask.
# The attribute's number is CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT of cuda.h.
PROBE = """\
import ctypes as c
d = c.CDLL("libcuda.so.1")
n, s, m, t = c.c_int(), c.create_string_buffer(99), c.c_int(), c.c_size_t()
assert not d.cuInit(0) and not d.cuDeviceGetCount(c.byref(n)) and n.value
for i in range(n.value):
    d.cuDeviceGetName(s, 99, i), d.cuDeviceTotalMem_v2(c.byref(t), i), d.cuDeviceGetAttribute(c.byref(m), 16, i)
    print(s.value.decode(), t.value // 2**20, m.value, sep=", ")
"""
SMI = "nvidia-smi --query-gpu=name,memory.total --format=csv,noheader,nounits"
QUERY = ("sh", "-c", f'python3 -c "$0" 2>/dev/null || {SMI}', PROBE)


def this_host() -> Host:
    """Look at this machine's GPUs, as the driver reports them."""
    if shutil.which("nvidia-smi") is None:
        return _of_other_vendors(vendors.cards())
    try:
        return host_of(subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True).stdout)
    except (subprocess.SubprocessError, OSError):
        return Host(CPU)


def host_of(answer: str) -> Host:
    """The host whose driver gave this answer to QUERY."""
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines() if "," in line]
    if not rows:
        return Host(CPU)
    (name, _, *multiprocessors), mebibytes = rows[0], min(float(row[1]) for row in rows)
    count = int(multiprocessors[0]) if multiprocessors else None
    return Host(gpus.kind_of(name), len(rows), mebibytes * 2**20 / 1e9, name, count)


def _of_other_vendors(cards: Sequence[vendors.Card]) -> Host:
    """The host with these cards; one with no card of a known kind runs on its CPU."""
    kinds = [gpus.kind_of(card.name) for card in cards]
    if not kinds or kinds[0] not in gpus.KINDS:
        return Host(CPU)
    memory = min(card.memory_gb or gpus.memory_gb(kind) for card, kind in zip(cards, kinds, strict=True))
    return Host(kinds[0], len(cards), memory, cards[0].name)


def known(kind: str | None) -> None:
    """Raises HostError for a GPU kind that is none of ours."""
    mistake = None if kind is None else gpus.mistake(kind)
    if mistake is not None:
        raise HostError(mistake)


def place(cases: Iterable[Case], host: Host, on: str | None, name: str = "this machine", hint: str = "") -> None:
    """Check that every case may run on this host. Raises HostError with what `misplaced` says."""
    lines = misplaced(cases, host, on, name, hint)
    if lines:
        raise HostError("\n".join(lines))


def misplaced(cases: Iterable[Case], host: Host, on: str | None, name: str, hint: str) -> list[str]:
    """Every case that does not fit onto a host, between what the host offers and the caller's hint; empty if all do.

    `on` moves cases to that kind (`any`: to whatever is here). Raises HostError for a kind that is none of ours.
    """
    known(on)
    problems = [problem for case in cases if (problem := _problem(case, host, on))]
    if not problems:
        return []
    offer = host.gpu_name or "no GPU"
    here = host.kind if gpus.SLICE.fullmatch(host.kind) else ANY
    advice = f"--on {here} runs them here, and the manifest says so" if on in (None, ANY) else f"{name} has {offer}"
    head = f"{name} offers {host.kind} ({offer}); {advice}:"
    return [line for line in (head, *problems, hint) if line]


def _problem(case: Case, host: Host, on: str | None) -> str | None:
    needs = case.spec.needs
    kind = on or needs.gpu
    if kind not in (CPU, ANY) and suits(kind, host.kind) and not host.has_runners:
        return f"  {case.id}: no runner holds PyTorch for {host.kind}; --on cpu runs it on the CPU"
    if kind != CPU and not suits(kind, host.kind):  # a machine with a GPU can run on its CPU too
        return f"  {case.id} needs {kind}"
    if kind != CPU and host.gpus and needs.gpus > host.gpus:
        return f"  {case.id} needs {needs.gpus} GPUs, there are {host.gpus}"
    if kind != CPU and host.gpus and needs.vram_gb and needs.vram_gb > host.memory_gb:
        return f"  {case.id} needs {needs.vram_gb:g} GB of GPU memory, there are {host.memory_gb:.0f}"
    return None


def kind_used(job: Job, host: Host) -> str:
    """The kind that a job really runs on here."""
    anywhere_else = job.gpu == ANY and not host.has_runners
    return CPU if job.gpu == CPU or anywhere_else else host.kind
