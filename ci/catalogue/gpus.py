"""GPU kinds: their names, the forms that a kind comes in, and which need a card meets.

A form is a kind of its own: the noise that CUDA draws depends on the number of multiprocessors, so an H100 PCIe makes
other references than an H100 SXM. The kinds stand in gpus.yaml.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from ..errors import near

ANY, CPU = "any", "cpu"
Vendor = Literal["nvidia", "amd", "intel", "ascend"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)?$", max_length=40)]
Gigabytes = Annotated[float, Field(gt=0)]


class GpuKind(BaseModel):
    """A kind as gpus.yaml writes it. What is left out is filled in by `_kinds`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    vendor: Vendor
    names: tuple[str, ...] = ()
    memory_gb: Gigabytes | None = None
    forms: dict[Name, Gigabytes] = {}
    runners: dict[Annotated[int, Field(ge=1)], str] = {}
    folder: Annotated[str, Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")] | None = None

    @model_validator(mode="after")
    def _memory_once(self) -> Self:
        if (self.memory_gb is None) != bool(self.forms):
            raise ValueError("memory_gb, or forms with the memory of each")
        return self


def read(text: str) -> dict[str, GpuKind]:
    """The kinds of a gpus.yaml, each form as a kind of its own. Raises pydantic's ValidationError."""
    return dict(_kinds(TypeAdapter(dict[Name, GpuKind]).validate_python(yaml.safe_load(text))))


def _kinds(bases: dict[str, GpuKind]) -> Iterator[tuple[str, GpuKind]]:
    for base, kind in bases.items():
        usual = next(iter(kind.forms.values()), kind.memory_gb)
        defaults = {"names": kind.names or (base,), "memory_gb": usual, "folder": kind.folder or base}
        yield base, kind.model_copy(update=defaults)
    for base, kind in bases.items():
        for form, memory in kind.forms.items():
            name = f"{base}-{form}"
            fields = {"title": f"{kind.title} {form.upper()}", "memory_gb": memory, "forms": {}, "runners": {}}
            yield name, kind.model_copy(update={**fields, "names": (), "folder": name})


KINDS = read((Path(__file__).parent / "gpus.yaml").read_text("utf-8"))
GPU_KINDS = tuple(KINDS)
# Those that are not named as their kind.
FOLDERS = {name: kind.folder for name, kind in KINDS.items() if kind.folder not in (None, name)}
_SLICED = "|".join(name for name, kind in KINDS.items() if kind.vendor == "nvidia" and kind.names)
# In names of cards that have fewer multiprocessors than the card whose name they share, and so make other images.
OTHERS = frozenset(("laptop", "mobile", "max", "d"))
SLICE = re.compile(rf"(?:{_SLICED})-mig-[a-z0-9.+]+")  # a part of a card: only where it is asked for by name


def kind_of(gpu_name: str) -> str:
    """The kind of a card by the driver's name for it, such as `NVIDIA H100 80GB HBM3`; that name itself if unknown.

    It becomes the name of a folder, so a `Quadro RTX 6000/8000` loses its slash.
    """
    words = gpu_name.lower().replace("-", " ").split()
    base = next((name for name, kind in KINDS.items() if set(kind.names) & set(words)), None)
    if base is None or OTHERS & set(words):
        return re.sub(r"[^a-z0-9 .+]+", "-", " ".join(words)).strip(" .-")[:100] or "unknown"
    if "mig" in words:
        return f"{base}-mig-{words[-1]}"
    return "-".join([base, *(form for form in list(KINDS[base].forms)[1:] if form in words)])


def suits(need: str, kind: str) -> bool:
    """Whether a card meets a need. A need without a form is met by every form; a slice meets its own name alone."""
    if SLICE.fullmatch(kind):
        return need == kind
    forms = KINDS[kind].forms if kind in KINDS else {}
    return need in (ANY, kind, *(f"{kind}-{form}" for form in list(forms)[:1])) or kind.startswith(f"{need}-")


def memory_gb(need: str) -> float:
    """Memory of the largest card that meets a need, in 1e9 bytes; infinite for what no entry tells."""
    sizes = [kind.memory_gb or 0 for name, kind in KINDS.items() if suits(need, name)]
    return max(sizes) * 2**30 / 1e9 if sizes else math.inf


def vendor_of(kind: str) -> Vendor | None:
    """Who makes a kind; None for `cpu` and for a card that has no entry."""
    base = kind if kind in KINDS else kind.partition("-mig-")[0]
    return KINDS[base].vendor if base in KINDS else None


def runner_label(kind: str, gpus: int) -> str:
    """The label of the CI runner with as many cards of a kind."""
    labels = KINDS[kind].runners if kind in KINDS else {}
    return labels.get(gpus, f"{gpus}-gpu-{kind}")


def folder_of(kind: str) -> str:
    """The folder of a kind in a data repository."""
    return FOLDERS.get(kind, kind)


def mistake(kind: str) -> str | None:
    """What is wrong with the name of a kind, or None. `cpu` and `any` are names too."""
    kinds = {*GPU_KINDS, CPU, ANY}
    if kind in kinds or SLICE.fullmatch(kind):
        return None
    return f"no GPU kind is named {kind!r}; {near(kind, kinds)}"
