"""The promises of variants: a repository that has its weights in another variant only is named before it is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from gt_runner.errors import VariantError
from gt_runner.fetch import variants
from gt_runner.fetch.preflight import obstacles
from tests.runner.fetch.test_preflight import JOB
from tests.support.fake_hub import FakeHub

FP16_ONLY = (
    "model_index.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
    "transformer/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
    "transformer/diffusion_pytorch_model.safetensors.index.fp16.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
)
PLAIN = ("transformer/diffusion_pytorch_model-00001-of-00001.safetensors", "vae/diffusion_pytorch_model.safetensors")
BOTH = (*FP16_ONLY, *PLAIN)
PARTLY = ("unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        (FP16_ONLY, "fp16"),
        (PLAIN, None),
        (BOTH, None),
        (BOTH, "fp16"),
        (PARTLY, "fp16"),
        (("flux1-dev.safetensors",), None),
    ],
)
def test_what_diffusers_can_load_is_let_through(names: tuple[str, ...], variant: str | None) -> None:
    variants.check("owner/model", variant, names)


@pytest.mark.parametrize(
    ("names", "variant", "message"),
    [
        (FP16_ONLY, None, "owner/model has the weights of transformer, vae as fp16 only; name it as model.variant"),
        (PARTLY, None, "owner/model has the weights of unet as fp16 only; name it as model.variant"),
        (PLAIN, "fp16", "owner/model has no weights of the variant fp16: it has no variants; leave model.variant out"),
        (FP16_ONLY, "bf16", "owner/model has no weights of the variant bf16: it has fp16"),
    ],
)
def test_a_repository_with_other_variants_is_named_with_what_to_do(
    names: tuple[str, ...], variant: str | None, message: str
) -> None:
    with pytest.raises(VariantError) as refusal:
        variants.check("owner/model", variant, names)
    assert str(refusal.value) == message


def test_the_preflight_names_it_before_a_byte_is_fetched(fake: FakeHub, tmp_path: Path) -> None:
    fake.push("owner/half", dict.fromkeys(FP16_ONLY, b"x"))
    folders = {"store": str(tmp_path / "store"), "cache": str(tmp_path / "cache"), "models": None, "previous": None}
    case = {"id": "a", "source": "diffusers", "model": {"repo": "owner/half"}, "base": "."}
    run = {"jobs": [{**JOB, "cases": [case]}], "fresh": False, "nonce": None, **folders}
    assert obstacles(run) == ["owner/half has the weights of transformer, vae as fp16 only; name it as model.variant"]  # type: ignore[arg-type]
    assert not fake.asked("GET", "/resolve/")
    case["model"]["variant"] = "fp16"  # type: ignore[index]
    assert obstacles(run) == []  # type: ignore[arg-type]
