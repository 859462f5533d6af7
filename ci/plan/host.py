"""The machine that runs jobs without a container engine: what GPU it offers, and whether a job may run on it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from ..catalogue.fields import GpuKind
from ..catalogue.model import Case
from ..errors import HostError, near
from .jobs import Job

CPU = "cpu"
ANY = "any"
GPU_KINDS = tuple(kind for kind in get_args(GpuKind) if kind != ANY)


@dataclass(frozen=True)
class Host:
    """A machine by the GPU kind that it offers; `cpu` where it has none."""

    kind: str
    gpus: int = 0
    memory_gb: float = 0.0  # of the smallest GPU, in 1e9 bytes
    gpu_name: str = ""

    @property
    def device(self) -> str:
        """The torch device that jobs run on."""
        return "cuda" if self.gpus else "cpu"


QUERY = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")


def this_host() -> Host:
    """Look at this machine's GPUs, as the driver reports them."""
    if shutil.which("nvidia-smi") is None:
        return Host(CPU)
    try:
        return host_of(subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True).stdout)
    except (subprocess.SubprocessError, OSError):
        return Host(CPU)


def host_of(answer: str) -> Host:
    """The host whose driver gave this answer to QUERY."""
    rows = [line.rsplit(",", 1) for line in answer.splitlines() if "," in line]
    if not rows:
        return Host(CPU)
    name = rows[0][0].strip()
    mebibytes = min(float(memory) for _, memory in rows)
    return Host(kind_of(name), len(rows), mebibytes * 2**20 / 1e9, name)


def kind_of(gpu_name: str) -> str:
    """The GPU kind of a name such as `NVIDIA H100 80GB HBM3`; the name itself, in lower case, if it is none of ours."""
    words = gpu_name.lower().replace("-", " ").split()
    return next((kind for kind in GPU_KINDS if kind in words), " ".join(words))


def known(kind: str | None) -> None:
    """Raises HostError for a GPU kind that is none of ours."""
    kinds = {*GPU_KINDS, CPU, ANY}
    if kind is not None and kind not in kinds:
        raise HostError(f"no GPU kind is named {kind!r}; {near(kind, kinds)}")


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
    offered = {ANY, CPU, host.kind}  # a machine with a GPU can run on its CPU too
    problems = [problem for case in cases if (problem := _problem(case, host, on, offered))]
    if not problems:
        return []
    offer = host.gpu_name or "no GPU"
    advice = "--on any runs them here, and the manifest says so" if on in (None, ANY) else f"{name} has {offer}"
    head = f"{name} offers {host.kind} ({offer}); {advice}:"
    return [line for line in (head, *problems, hint) if line]


def _problem(case: Case, host: Host, on: str | None, offered: set[str]) -> str | None:
    needs = case.spec.needs
    kind = on or needs.gpu
    if kind not in offered:
        return f"  {case.id} needs {kind}"
    if kind != CPU and host.gpus and needs.gpus > host.gpus:
        return f"  {case.id} needs {needs.gpus} GPUs, there are {host.gpus}"
    if kind != CPU and host.gpus and needs.vram_gb and needs.vram_gb > host.memory_gb:
        return f"  {case.id} needs {needs.vram_gb:g} GB of GPU memory, there are {host.memory_gb:.0f}"
    return None


def kind_used(job: Job, host: Host) -> str:
    """The kind that a job really runs on here."""
    return CPU if job.gpu == CPU else host.kind
