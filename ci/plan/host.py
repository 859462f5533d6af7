"""The machine that runs jobs without a container engine: what GPU it offers, and whether a job may run on it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..catalogue import gpus
from ..catalogue.gpus import ANY, CPU, suits
from ..catalogue.model import Case
from ..errors import HostError
from ..words import are, counted
from . import nvidia, vendors


@dataclass(frozen=True)
class Host:
    """A machine by the GPU kind that it offers; `cpu` where it has none."""

    kind: str
    gpus: int = 0
    memory_gb: float = 0.0  # of the smallest GPU, in 1e9 bytes
    gpu_name: str = ""
    multiprocessors: int | None = None  # of a GPU; None where only nvidia-smi answered, which does not say
    cards: tuple[nvidia.Card, ...] = ()  # its GPUs where NVIDIA's driver names them, all of one model

    @property
    def card(self) -> dict[str, str | int | None] | None:
        """What decides bits besides the kind, as the runner reads it."""
        return {"name": self.gpu_name, "multiprocessors": self.multiprocessors} if self.gpus else None

    @property
    def has_runners(self) -> bool:
        """Whether our locked environments and images hold a PyTorch for its cards: they hold CUDA's."""
        return gpus.vendor_of(self.kind) in (None, "nvidia")


LINES = textwrap.TextWrapper(
    80, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
)


def this_host(devices: Sequence[str] = ()) -> Host:
    """Look at this machine's GPUs, as the driver reports them. Raises HostError for a device that cannot be used."""
    cards = nvidia.here()
    if devices:
        return of_devices(cards, devices)
    return _of_nvidia(cards) if cards else _of_other_vendors(vendors.cards())


def of_devices(cards: Sequence[nvidia.Card], devices: Sequence[str]) -> Host:
    """The host that only has these of its cards, by number as nvidia-smi counts, or by UUID. Raises HostError."""
    return _of_nvidia(nvidia.chosen(cards, devices))


def host_of(answer: str) -> Host:
    """The host whose driver gave this answer to nvidia.QUERY."""
    return _of_nvidia(nvidia.cards(answer))


def _of_nvidia(cards: Sequence[nvidia.Card]) -> Host:
    """The host with the cards that are of the first one's model: others would make other images."""
    if not cards:
        return Host(CPU)
    first = cards[0]
    group = tuple(card for card in cards if card.model == first.model)
    memory = min(card.memory_gb for card in group)
    return Host(gpus.kind_of(first.name), len(group), memory, first.name, first.multiprocessors, group)


def _of_other_vendors(cards: Sequence[vendors.Card]) -> Host:
    """The host with these cards; one with no card of a known kind runs on its CPU."""
    kinds = [gpus.kind_of(card.name) for card in cards]
    if not kinds or kinds[0] not in gpus.KINDS:
        return Host(CPU)
    memory = min(card.memory_gb or gpus.memory_gb(kind) for card, kind in zip(cards, kinds, strict=True))
    return Host(kinds[0], len(cards), memory, cards[0].name)


def check_kind(kind: str | None) -> None:
    """Raises HostError for a GPU kind that is none of ours."""
    mistake = None if kind is None else gpus.mistake(kind)
    if mistake is not None:
        raise HostError(mistake)


def check(cases: Iterable[Case], host: Host, on: str | None, hints: Iterable[str] = ()) -> None:
    """Check that every case may run on this machine. Raises HostError with what `misplaced` says."""
    lines = misplaced(cases, host, on, "this machine", hints)
    if lines:
        raise HostError("\n".join(lines))


def misplaced(cases: Iterable[Case], host: Host, on: str | None, name: str, hints: Iterable[str]) -> list[str]:
    """Every case that does not fit onto a host, between what the host offers and what to do; empty if all fit.

    `on` moves cases to that kind (`any`: to whatever is here); `hints` are what the caller knows besides. Raises
    HostError for a kind that is none of ours.
    """
    check_kind(on)
    ids_by_need: dict[str, list[str]] = {}
    for case in cases:
        if (need := lack(case, host, on)) is not None:
            ids_by_need.setdefault(need, []).append(case.id)
    if not ids_by_need:
        return []
    head = f"{name} offers {host.kind} ({host.gpu_name or 'no GPU'}); what was selected needs something else:"
    needs = [f"{need}: {', '.join(ids)}" for need, ids in ids_by_need.items()]
    return [head, *map(LINES.fill, needs), *_elsewhere(host, on), *hints]


def _elsewhere(host: Host, on: str | None) -> list[str]:
    """How the cases run on this host all the same."""
    if on not in (None, ANY):
        return []
    kind = host.kind if gpus.SLICE.fullmatch(host.kind) else ANY
    price = "" if host.gpus else " on the CPU, for hours"
    return [f"--on {kind} runs them here{price}, and the manifest says so"]


def lack(case: Case, host: Host, on: str | None) -> str | None:
    """What a case needs that the host does not have; None if nothing. `on` is the kind that cases are moved to."""
    needs = case.spec.needs
    kind = on or needs.gpu
    if kind not in (CPU, ANY) and suits(kind, host.kind) and not host.has_runners:
        return f"a runner with PyTorch for {host.kind}, which there is none of (--on cpu runs on the CPU)"
    if kind != CPU and not suits(kind, host.kind):  # a machine with a GPU can run on its CPU too
        return kind
    if kind != CPU and host.gpus and needs.gpus > host.gpus:
        return f"{counted(needs.gpus, 'GPU')} (there {are(host.gpus)} {host.gpus})"
    if kind != CPU and host.gpus and needs.vram_gb and needs.vram_gb > host.memory_gb:
        return f"{needs.vram_gb:g} GB of GPU memory (there are {host.memory_gb:.0f})"
    return None


def kind_used(need: str, host: Host) -> str:
    """The kind that a job that needs this one really runs on here."""
    is_elsewhere = need == ANY and not host.has_runners
    return CPU if need == CPU or is_elsewhere else host.kind
