"""Weights that are copied by several threads are the bytes that `Module.to` would have copied.

No GPU is needed: the target is the CPU, and the code that cuts, queues and copies is the same.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import nn

from gt_runner.sources import onto_gpu
from gt_runner.sources.tiny import build
from tests.support import tiny_diffusers

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 1000 bytes, which no tensor's size is a multiple of."""
    monkeypatch.setattr(onto_gpu, "CHUNK", 1000)


def tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def sha256(tensor: torch.Tensor) -> str:
    """Of the values, in the order of the tensor's indices."""
    values = tensor.detach().resolve_conj().contiguous().flatten()
    return hashlib.sha256(values.view(torch.uint8).numpy().tobytes()).hexdigest()


def described(model: nn.Module) -> dict[str, Any]:
    """What must not change: every tensor's digest, layout and kind, and which of them are one."""
    same: defaultdict[int, list[str]] = defaultdict(list)
    for name, tensor in tensors(model):
        same[id(tensor)].append(name)
    tied = sorted(names for names in same.values() if len(names) > 1)
    kinds = {name: (type(each), each.dtype, each.stride(), each.requires_grad) for name, each in tensors(model)}
    return {"digests": {name: sha256(each) for name, each in tensors(model)}, "kinds": kinds, "tied": tied}


def addresses(model: nn.Module) -> set[int]:
    return {tensor.data_ptr() for _, tensor in tensors(model) if tensor.numel()}


@pytest.mark.parametrize("repo", [*tiny_diffusers.REPOSITORIES, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"])
def test_every_parameter_and_buffer_of_an_official_class_is_copied_byte_for_byte(repo: str, tmp_path: Path) -> None:
    make = tiny_diffusers.REPOSITORIES.get(repo)
    if make is None:  # loaded as a run loads it: the tensors are mapped from files
        build("WanPipeline", tmp_path, 0)
        pipeline = DiffusionPipeline.from_pretrained(tmp_path, dtype=torch.bfloat16)
    else:
        pipeline = make()
    models = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    before = {name: (described(model), addresses(model)) for name, model in models.items()}
    onto_gpu.place(pipeline.components.values(), CPU)
    for name, model in models.items():
        known, places = before[name]
        assert described(model) == known
        assert not places & addresses(model), "not all was copied"


class Odd(nn.Module):
    """A tied parameter, a tied buffer, and tensors of every kind that models have had."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(33, 7)
        self.head = nn.Linear(7, 33, bias=False)
        self.head.weight = self.embedding.weight
        self.frozen = nn.Parameter(torch.randn(100, 30).t(), requires_grad=False)
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.register_buffer("table", torch.randn(3, 4, 5).permute(2, 0, 1), persistent=False)
        self.register_buffer("absent", None)
        self.inner = nn.Module()
        self.inner.register_buffer("table", self.get_buffer("table"))
        odd = [
            torch.tensor(3.0),
            torch.tensor([True, False]),
            torch.arange(1001),
            torch.randn(7, dtype=torch.complex64),
        ]
        odd += [torch.randn(2, 8, 4, 4).to(memory_format=torch.channels_last), torch.rand(9).to(torch.float8_e4m3fn)]
        odd += [torch.randn(4, 9)[:, :3], torch.randn(5, 1).expand(5, 4), torch.randn(3, dtype=torch.complex64).conj()]
        for number, tensor in enumerate(odd):
            self.register_buffer(f"odd_{number}", tensor)


def test_tied_weights_stay_tied_and_odd_layouts_and_dtypes_are_right() -> None:
    model = Odd()
    known, parameter = described(model), model.embedding.weight
    onto_gpu.place([model, "a scheduler is no module"], CPU)
    assert described(model) == known
    assert ["embedding.weight", "head.weight"] in known["tied"]
    assert model.embedding.weight is parameter is model.head.weight
    assert model.inner.table is model.table


def test_what_is_no_plain_tensor_is_left_for_module_to() -> None:
    """Gaps, shared places and lazy conjugation: a copy of the bytes would not be the tensor."""
    model = Odd()
    left = {f"odd_{number}" for number in (6, 7, 8)}
    before = {name: each.data_ptr() for name, each in tensors(model)}
    onto_gpu.place([model], CPU)
    kept = {name for name, each in tensors(model) if each.numel() and each.data_ptr() == before[name]}
    assert kept == left


def test_a_model_that_is_loaded_in_inference_mode_is_copied_too() -> None:
    with torch.inference_mode():
        tensor = torch.randn(5000)
        [copy] = onto_gpu.replicas([tensor], CPU)
        assert torch.equal(tensor, copy)


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError("a page could not be read")

    monkeypatch.setattr("numpy.copyto", broken)
    with pytest.raises(OSError, match="a page"):
        onto_gpu.replicas([torch.randn(5000)], CPU)


@pytest.mark.parametrize(
    ("arguments", "options", "moved"),
    [
        (("cuda:0",), {}, True),
        ((), {"device": torch.device("cuda")}, True),
        ((torch.device("cuda"), torch.float16), {}, True),
        (("cpu",), {}, False),
        ((torch.float16,), {}, False),
        ((), {"dtype": torch.float16}, False),
    ],
)
def test_an_implementation_that_moves_its_modules_by_itself_is_helped_onto_the_gpu_alone(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[Any, ...], options: dict[str, Any], moved: bool
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(onto_gpu, "place", lambda _, device: calls.append(("place", device.type)))
    monkeypatch.setattr(onto_gpu, "_MODULE_TO", lambda *given, **named: calls.append(("to", given[1:], named)))
    onto_gpu.to(nn.Linear(2, 2), *arguments, **options)
    assert calls == [*([("place", "cuda")] if moved else []), ("to", arguments, options)]
