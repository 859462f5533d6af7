"""Loads a model once, then generates and saves each of its cases, without the network and without a token."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..contract import Case, Fetched, Prepared, load_spec
from ..events import Emit, Phase
from ..sources import Generated, Loaded, implementation
from ..tasks import WorkTask
from . import isolation, noise, output, record, torch_state
from .base import Worker
from .given_latents import given_latents
from .saving import Save
from .trace.tracing import traced


class OfficialWorker(Worker):
    """Runs the cases of one task, one after the other."""

    def __init__(self, task: WorkTask, emit: Emit, ask: Callable[[], Prepared | None]) -> None:
        super().__init__(task, emit, ask)
        self._loaded: Loaded | None = None
        self._spec: dict[str, Any] | None = None
        self._load_seconds = 0.0
        self._isolation = isolation.isolate()

    def phase(self, case: Case) -> Phase:
        """What a case failed in."""
        return "generate" if load_spec(case) == self._spec else "load"

    def make(self, prepared: Prepared) -> Save:
        """Generate one case."""
        case, name = prepared["case"], prepared["case"]["id"]
        loaded = self._load(case, prepared["fetched"])
        self._emit({"event": "phase", "case": name, "phase": "generate"})
        clock = record.Clock()
        attempts = isolation.attempts()
        torch_state.seed_everything(case["call"]["seed"])
        generators = torch_state.global_generators()
        with (
            traced(self._task["trace"], case, loaded) as drew,
            noise.first_noise(drew) as initial_latent,
            given_latents(case, prepared["fetched"], loaded, initial_latent),
        ):
            generated = loaded.generate(
                case,
                [Path(file["path"]) for file in prepared["fetched"]["inputs"]],
                lambda done, total: self._emit({"event": "step", "case": name, "done": done, "total": total}),
            )
        isolation.check(since=attempts)
        advanced = [name for name, state in torch_state.global_generators().items() if generators.get(name) != state]
        clock.lap("generate")
        on_gpu = self._job["device"] == "cuda"
        facts = {
            "initial_latent": initial_latent,
            "pipeline": loaded.pipeline,
            "generator_device": _generator_device(case, self._job["device"]),
            "image": self._job.get("image"),
            "global_rng_used": advanced,
            "isolation": self._isolation,
            "gpu": record.gpu(self._job, torch_state.gpu),
            "peak_memory": record.peak_memory(torch_state.peak_gpu_bytes() if on_gpu else None),
            "process": record.process(self._task["nonce"]),
            "seconds": {"fetch": prepared["fetch_seconds"], "load": self._load_seconds, **clock.seconds},
        }
        return partial(self._save, prepared, generated, facts)

    def _save(self, prepared: Prepared, generated: Generated, facts: dict[str, Any]) -> None:
        """Put a case into the store; in a thread of its own, so nothing here may look at the GPU or at the model."""
        case, name = prepared["case"], prepared["case"]["id"]
        clock = record.Clock()
        self._emit({"event": "phase", "case": name, "phase": "save"})
        resized = output.resized(generated.frames, generated.passed)
        with self._store.begun() as folder:
            files = output.save(generated.frames, case, folder)
            entry = record.finished(prepared, generated.passed, generated.dropped, files)
            entry |= {**facts, "resized": resized}
            clock.lap("save")
            entry["seconds"] |= clock.seconds
            self._store.finish(folder, entry)
        self._emit({"event": "done", "case": name, "record": entry})

    def load(self, prepared: Prepared) -> None:
        """Load what a case needs."""
        self._load(prepared["case"], prepared["fetched"])

    def _load(self, case: Case, fetched: Fetched) -> Loaded:
        spec = load_spec(case)
        if self._loaded is not None and spec == self._spec:
            return self._loaded
        self._emit({"event": "phase", "case": case["id"], "phase": "load"})
        self._loaded = self._spec = None
        gc.collect()
        clock = record.Clock()
        on_gpu = self._job["device"] == "cuda"
        torch_state.reset_gpu() if on_gpu else torch_state.fix_threads()
        loaded = implementation(case["source"]).load(case, fetched, self._job["device"])
        if on_gpu:
            torch_state.wait_for_gpu()
        self._load_seconds = clock.lap("load")
        self._loaded, self._spec = loaded, spec
        return loaded


def _generator_device(case: Case, device: str) -> str:
    return case["runtime"]["generator_device"] if device == "cuda" else "cpu"
