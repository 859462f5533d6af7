"""The variants of a Diffusers repository's weights: `model.fp16.safetensors` is the fp16 variant of a component."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import VariantError

# <folder of a component>/<name>[.<variant>][-00001-of-00002][.<variant>].safetensors
_WEIGHTS = re.compile(
    r"(?P<component>[^/]+)/[^/.]+(\.(?P<one>[a-z0-9_]+))?(-\d+-of-\d+)?(\.(?P<other>[a-z0-9_]+))?\.(safetensors|bin)"
)


def check(repo: str, variant: str | None, names: Iterable[str]) -> None:
    """Raises VariantError where a component's weights are there in other variants only.

    As Diffusers loads them: a component without the variant that a case names has its plain weights loaded, but one
    component at least must have it.
    """
    variants: dict[str, set[str]] = {}
    for name in names:
        if match := _WEIGHTS.fullmatch(name):
            variants.setdefault(match["component"], set()).add(match["one"] or match["other"] or "")
    all_labels = {each for labels in variants.values() for each in labels if each}
    if variant is not None and variants and variant not in all_labels:
        others = f"it has {_named(all_labels)}" if all_labels else "it has no variants; leave model.variant out"
        raise VariantError(f"{repo} has no weights of the variant {variant}: {others}")
    lacking = {part: labels for part, labels in variants.items() if not labels & {"", variant or ""}}
    if lacking:
        only = {each for labels in lacking.values() for each in labels}
        raise VariantError(
            f"{repo} has the weights of {', '.join(sorted(lacking))} as {_named(only)} only; name it as model.variant"
        )


def _named(variants: Iterable[str]) -> str:
    return ", ".join(sorted(variants))
