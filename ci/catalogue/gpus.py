"""GPU kinds: their names, the forms that a kind comes in, and which need a card meets.

A form is a kind of its own: the noise that CUDA draws depends on the number of multiprocessors, so an H100 PCIe makes
other references than an H100 SXM. The name without a form is that of the SXM card where there is one.
"""

from __future__ import annotations

import re

from ..errors import near

ANY, CPU = "any", "cpu"
FORMS = {"h100": ("pcie", "nvl"), "h200": ("nvl",), "a100": ("pcie",)}  # besides SXM, which may be named too
BASES = ("h100", "h200", "b200", "b300", "gb200", "a100", "l40s", "l4", "4090", "5090")
GPU_KINDS = (*BASES, *(f"{base}-{form}" for base, forms in FORMS.items() for form in ("sxm", *forms)))
SLICE = re.compile(rf"(?:{'|'.join(BASES)})-mig-[a-z0-9.+]+")  # a part of a card: only where it is asked for by name


def kind_of(gpu_name: str) -> str:
    """The kind of a card by the driver's name for it, such as `NVIDIA H100 80GB HBM3`; that name itself if unknown.

    It becomes the name of a folder, so a `Quadro RTX 6000/8000` loses its slash.
    """
    words = gpu_name.lower().replace("-", " ").split()
    base = next((base for base in BASES if base in words), None)
    if base is None:
        return re.sub(r"[^a-z0-9 .+]+", "-", " ".join(words)).strip(" .-")[:100] or "unknown"
    if "mig" in words:
        return f"{base}-mig-{words[-1]}"
    return "-".join([base, *(form for form in FORMS.get(base, ()) if form in words)])


def suits(need: str, kind: str) -> bool:
    """Whether a card meets a need. A need without a form is met by every form; a slice meets its own name alone."""
    if SLICE.fullmatch(kind):
        return need == kind
    return need in (ANY, kind, f"{kind}-sxm") or kind.startswith(f"{need}-")


def mistake(kind: str) -> str | None:
    """What is wrong with the name of a kind, or None. `cpu` and `any` are names too."""
    kinds = {*GPU_KINDS, CPU, ANY}
    if kind in kinds or SLICE.fullmatch(kind):
        return None
    return f"no GPU kind is named {kind!r}; {near(kind, kinds)}"
