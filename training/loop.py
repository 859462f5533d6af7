"""Minimises losses for so many steps: AdamW or Muon, a moving average of the weights, a CUDA graph for each loss."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Step = Callable[[], object]

WARM_UP = 0.03  # share of the steps in which the learning rate rises
DECAY = 0.9985  # of the moving average, a step
CHUNK = 16  # steps between two looks at the clock
SAID = 15  # seconds between two lines


class Muon:
    """Muon (Jordan et al., 2024) for matrices, scaled to AdamW's usual step (Liu et al., 2025): `step` takes one step.

    All matrices of one shape are orthogonalised at once.
    """

    def __init__(self, parameters: Iterable[Tensor], rate: Tensor) -> None:
        self._rate = rate
        by_shape: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
        for each in parameters:
            by_shape[each.shape].append(each)
        self._groups = list(by_shape.values())
        self._momenta = [torch.zeros_like(torch.stack(list(group))) for group in self._groups]

    @torch.no_grad()
    def step(self) -> None:
        """Move every matrix along its orthogonalised momentum."""
        for group, momentum in zip(self._groups, self._momenta, strict=True):
            gradient = torch.stack([each.grad for each in group if each.grad is not None])
            momentum.lerp_(gradient, 0.05)
            direction = _orthogonal(gradient.lerp(momentum, 0.95)) * (0.2 * math.sqrt(max(group[0].shape)))
            for each, change in zip(group, direction.unbind(0), strict=True):
                each.sub_(self._rate * (change + 0.01 * each))


def _orthogonal(matrices: Tensor) -> Tensor:
    """Newton-Schulz iteration: the singular values become about 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Loop:
    """Minimises losses in turn. Each draws its own batch, and may neither wait for the GPU nor change a shape.

    `between` is called every CHUNK steps. When `run` returns, the modules hold the moving average of their weights.
    """

    def __init__(
        self,
        name: str,
        modules: Iterable[nn.Module],
        losses: list[Callable[[], Tensor]],
        *,
        rate: float,
        matrices: Iterable[Tensor] = (),
        eager: bool = False,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.steps = name, 0
        self._modules, self._losses, self._rate, self._between = list(modules), losses, rate, between
        self._parameters: list[Tensor] = [each for module in self._modules for each in module.parameters()]
        self._average = [each.detach().clone() for each in self._parameters]
        device = self._parameters[0].device
        self._on_gpu = device.type == "cuda"
        self._graphed = self._on_gpu and not eager
        self._now = torch.tensor(0.0, device=device)  # the learning rate, which a graph reads
        self._value = torch.zeros((), device=device)
        matrices = list(matrices)
        self._muon = Muon(matrices, self._now)
        ids = {id(each) for each in matrices}
        self._adam = torch.optim.AdamW(
            [each for each in self._parameters if id(each) not in ids],
            lr=self._now,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            capturable=self._on_gpu,
            fused=True,
        )

    def run(self, steps: int, seconds: float, report: Callable[[], object] = lambda: None, every: float = 60) -> None:
        """Train for so many steps, or so long if that is shorter; `report` is called with the average in place."""
        started = last_line = last_report = time.monotonic()
        for module in self._modules:
            module.train()
        ways = self._graphs() if self._graphed else [lambda of=loss: self._step(of) for loss in self._losses]
        ready = time.monotonic()
        self._say(f"ready in {ready - started:.1f} s")
        seconds -= ready - started
        while (share := max(self.steps / steps, (time.monotonic() - ready) / seconds)) < 1:
            falling = 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2
            self._now.fill_(self._rate * min(1.0, share / WARM_UP) * falling)
            for _ in range(CHUNK if self._on_gpu else len(ways)):
                ways[self.steps % len(ways)]()
                self.steps += 1
            self._between()
            value = float(self._value)  # waits for the GPU
            if not math.isfinite(value):
                raise RuntimeError(f"{self.name}: the loss of step {self.steps} is {value}")
            decay = min(DECAY**CHUNK, self.steps / (self.steps + 10 * CHUNK)) if self._on_gpu else 0.97
            with torch.no_grad():
                torch._foreach_lerp_(self._average, self._parameters, 1 - decay)
            now = time.monotonic()
            if now - last_line > SAID:
                last_line = now
                self._say(f"{now - started:.0f} s, step {self.steps}, loss {value:.5f}")
            if now - last_report > every:
                with self._averaged():
                    report()
                last_report = time.monotonic()
        with torch.no_grad():
            torch._foreach_copy_(self._parameters, self._average)
        for module in self._modules:
            module.eval()
        self._say(f"{self.steps} steps in {time.monotonic() - started:.1f} s, loss {value:.5f}")

    def _say(self, text: str) -> None:
        print(f"{self.name}: {text}", flush=True)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """While open, the modules hold the moving average."""
        copies = [each.detach().clone() for each in self._parameters]
        with torch.no_grad():
            torch._foreach_copy_(self._parameters, self._average)
            yield
            torch._foreach_copy_(self._parameters, copies)

    def _step(self, of: Callable[[], Tensor]) -> None:
        for each in self._parameters:
            each.grad = None
        loss = of()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._muon.step()
        self._adam.step()
        self._value.copy_(loss.detach())

    def _graphs(self) -> list[Step]:
        """A whole step of each loss as one graph: thousands of small kernels would else wait for Python.

        What warms up moves nothing, since the learning rate is still 0.
        """
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                for loss in self._losses:
                    self._step(loss)
                    self._check()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        steps: list[Step] = []
        for loss in self._losses:
            graph = torch.cuda.CUDAGraph()
            for each in self._parameters:
                each.grad = None
            with torch.cuda.graph(graph):
                self._step(loss)
            steps.append(graph.replay)
        return steps

    def _check(self) -> None:
        wrong = sum(int(not each.grad.isfinite().all()) for each in self._parameters if each.grad is not None)
        if wrong or not math.isfinite(float(self._value)):
            raise RuntimeError(f"{self.name}: loss {float(self._value)}, {wrong} gradients are not finite")
